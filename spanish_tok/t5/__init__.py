"""The T5 model: shape, PyTorch model, folders on disk, backends, export."""
