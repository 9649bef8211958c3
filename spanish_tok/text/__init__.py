"""The closed alphabet, the table that maps text into it, Arrow columns of text."""
