"""Draw the losses that `LOSSES=folder make test-keras` keeps: fine-tuning in PyTorch, TensorFlow and JAX.

python benchmarks/keras_losses.py folder docs/assets/keras-losses.png
"""

import argparse
from pathlib import Path

import numpy as np

STEPS = 100
STYLES = {"torch": ("PyTorch", "-", 2.5), "tensorflow": ("TensorFlow", "--", 1.5), "jax": ("JAX", ":", 1.5)}


def draw(folder: Path, output: Path) -> None:
    """Draw one panel a task, and print how far the curves are apart."""
    import matplotlib.pyplot as plt

    paths = sorted(folder.glob("*-float32.npz"))
    figure, panels = plt.subplots(1, len(paths), figsize=(5 * len(paths), 3), squeeze=False)
    for panel, path in zip(panels[0], paths, strict=True):
        with np.load(path) as losses:
            for name, (title, line, width) in STYLES.items():
                curve = losses[name][:STEPS]
                panel.plot(np.arange(1, len(curve) + 1), curve, line, linewidth=width, label=title)
                apart = np.abs(curve - losses["torch"][:STEPS]).mean()
                print(f"{path.stem}, {title}: {apart:.5f} nats from PyTorch on average")
        panel.set(title=path.stem.removesuffix("-float32"), xlabel="step", ylabel="nats a token")
        panel.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.output)
