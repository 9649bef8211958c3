"""Compiled code of the T5 on a CPU."""
