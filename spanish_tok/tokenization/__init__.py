"""Text to ids and back: the tokenizer, columns, other libraries' tokenizers."""
