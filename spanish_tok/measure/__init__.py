"""Measurements: bench, compare, verify, and the report."""
