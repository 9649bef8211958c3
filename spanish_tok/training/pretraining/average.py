"""The mean of a model's weights over its last steps.

Izmailov et al. 2018, https://arxiv.org/abs/1803.05407.
"""

from pathlib import Path

import torch

from spanish_tok.t5.checkpoint import Tensors
from spanish_tok.t5.safetensors import read_metadata, read_tensors, write_tensors

MEAN = "mean.safetensors"  # in a checkpoint, once steps are averaged


class WeightMean:
    """The mean of the weights after each step behind `begin`, in float32.

    It resumes that of a checkpoint which began at the same step. `count` is how many steps are in it.
    """

    def __init__(self, begin: int, checkpoint: Path | None = None) -> None:
        self.begin, self.last, self.count = begin, begin, 0
        self._mean: dict[str, torch.Tensor] = {}
        path = checkpoint and checkpoint / MEAN
        if path and path.exists():
            notes = {name: int(number) for name, number in read_metadata(path).items() if number.isdecimal()}
            if notes.get("begin") == begin:
                self.last, self.count = notes["last"], notes["count"]
                self._mean = {name: torch.tensor(array) for name, array in read_tensors(path).items()}

    @torch.no_grad()
    def add(self, model: torch.nn.Module, step: int) -> None:
        """Count the weights after a step; nothing up to `begin`, and no step twice."""
        if step <= self.last:
            return
        self.count, self.last = self.count + 1, step
        for name, tensor in model.state_dict().items():
            if name not in self._mean:
                self._mean[name] = torch.zeros_like(tensor, dtype=torch.float32)
            mean = self._mean[name] = self._mean[name].to(tensor.device)
            mean.lerp_(tensor.float(), 1 / self.count)

    def arrays(self) -> Tensors:
        """Return the mean by the names of the weights; nothing if no step is in it."""
        return {name: mean.cpu().numpy() for name, mean in self._mean.items()}

    def save(self, folder: Path) -> None:
        """Write it into the folder of a checkpoint, if steps are in it."""
        if self.count:
            notes = {"begin": self.begin, "last": self.last, "count": self.count}
            write_tensors(
                folder / MEAN, self.arrays(), metadata={name: str(number) for name, number in notes.items()}
            )
