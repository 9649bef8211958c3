"""Fine-tuning in parts: the records of each task, the loop that learns them."""
