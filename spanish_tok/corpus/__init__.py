"""Corpus preparation: clean records, draw samples, write folders of records."""
