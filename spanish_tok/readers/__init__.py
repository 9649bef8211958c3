"""Readers: any file or data set as batches of (id, text) or rows of named columns."""
