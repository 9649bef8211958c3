"""A model for other libraries."""
