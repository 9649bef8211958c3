"""Training of the encoder that restores accents, from any text without labels."""
