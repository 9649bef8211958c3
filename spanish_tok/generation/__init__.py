"""Text written by a model: greedy search, sampling, beams, prompts."""
