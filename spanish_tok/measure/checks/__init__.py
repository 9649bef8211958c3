"""What `verify` checks.

Our vocabularies, those of other T5s, and a trimmed model against its original.
"""
