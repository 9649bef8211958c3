"""Text to ids and back: the tokenizer, the column encoder, other libraries' tokenizers."""
