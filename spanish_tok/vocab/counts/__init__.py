"""Counts of runs, of text or of lists of words: all that training needs."""
