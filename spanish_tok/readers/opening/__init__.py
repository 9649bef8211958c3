"""From stored bytes to text in UTF-8: compression and encoding by content."""
