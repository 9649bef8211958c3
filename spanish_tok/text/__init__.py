"""The closed alphabet, the table that maps every character into it, and Arrow columns of text."""
