"""The T5 model: configuration, PyTorch model, checkpoints, backends of the generator, export."""
