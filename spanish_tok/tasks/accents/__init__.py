"""Accents and ñ restored: which words, their forms, and an encoder that chooses."""
