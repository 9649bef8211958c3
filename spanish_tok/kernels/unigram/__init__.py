"""Compiled code of the unigram trainer."""
