"""What somebody does on the first day, by the commands of the pages alone."""
