"""Compiled code over bytes of text."""
