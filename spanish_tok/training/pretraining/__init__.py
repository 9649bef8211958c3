"""Pretraining in parts: its loop, the compiled step, averaged weights."""
