"""Tasks for a text-to-text model: what is asked, read from which data, scored how. No torch here."""
