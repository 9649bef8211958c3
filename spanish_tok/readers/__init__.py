"""Readers: any file or data set, as Arrow batches of (id, text) or as rows of named columns."""
