"""Counts of runs, the unigram trainer, and the vocabulary with its files."""
