"""Plans: from records to a measured model by one command, in resumable steps."""
