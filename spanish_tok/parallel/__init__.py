"""Work spread over threads or a Ray cluster."""
