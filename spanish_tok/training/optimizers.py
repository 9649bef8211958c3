"""The optimizers: AdamW with steps scaled to each matrix, Muon, Adafactor."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Literal, Protocol, overload

import torch

SMALLEST_SIZE = 1e-3  # a matrix of zeros must be able to leave them
BIAS_SIZE = 1.0  # a bias starts near 0 and must reach several units before attention looks at neighbours
BIASES = "relative_attention_bias"
MOMENTUM = 0.95  # of Muon
NEWTON = 3.4445, -4.775, 2.0315  # the polynomial of Muon's Newton-Schulz steps

Member = tuple[torch.Tensor, torch.Tensor, dict[str, Any]]  # a parameter, its gradient, its group


class ScaledAdamW(torch.optim.Optimizer):
    """AdamW whose step is multiplied by each parameter's root mean square.

    As in Adafactor.

    T5's embeddings start with a deviation of 1, its other matrices with one of d^-0.5: one plain learning rate
    cannot serve both. From nanoT5 (Nawrot 2023), which shows that it trains T5 better than Adafactor does.
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        smallest_size: float = SMALLEST_SIZE,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, {**defaults, "smallest_size": smallest_size})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step for all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update_all(
            [
                (parameter, parameter.grad, group)
                for group in self.param_groups
                for parameter in group["params"]
                if parameter.grad is not None
            ]
        )
        return loss

    def _update_all(self, members: Sequence[Member]) -> None:
        for parameter, gradient, group in members:
            self._update(parameter, gradient, group)

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        steps, (first, second) = state["step"].item(), group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size, root = self._size(parameter, group), square.sqrt().add_(group["eps"])
        if (
            parameter.device.type == "cpu"
        ):  # in the order of operations that every version had: the same bytes
            least = max(group["smallest_size"], size.item())
            rate = group["lr"] * least * (1 - second**steps) ** 0.5 / (1 - first**steps)
            parameter.addcdiv_(mean, root, value=-rate)
        else:
            rate = group["lr"] * (1 - second**steps) ** 0.5 / (1 - first**steps)
            parameter.sub_((mean / root).mul_(size * rate))
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])

    def _size(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Return what the step of a parameter is in proportion to.

        As a tensor without dimensions: a graphics card is not waited for.
        """
        return parameter.square().mean().sqrt().clamp_(min=group["smallest_size"])


class ScaledMuon(ScaledAdamW):
    """Muon for matrices, AdamW for the rest; steps follow each one's first size.

    Muon (Jordan 2024) makes the momentum of a matrix orthogonal: all its directions get steps of one size, here the
    rate times the root mean square of the matrix when the run began. Steps that follow its PRESENT size let a long run
    grow without bound. Groups whose `orthogonal` is set are Muon's. It is torch.optim.Muon with one group a matrix,
    adjust_lr_fn="match_rms_adamw", lr = rate x size / 0.2 and weight_decay = decay x 0.2 / size; the first sizes are
    part of the state.
    """

    def _update_all(self, members: Sequence[Member]) -> None:
        """Update what AdamW does, then matrices of one shape at once."""
        alike: dict[torch.Size, list[Member]] = {}
        for member in members:
            if member[2].get("orthogonal"):
                alike.setdefault(member[0].shape, []).append(member)
        super()._update_all([member for member in members if not member[2].get("orthogonal")])
        for same in alike.values():
            moved = [self._moved(parameter, gradient) for parameter, gradient, _ in same]
            for (parameter, _, group), step in zip(same, orthogonal(torch.stack(moved)), strict=True):
                self._take(parameter, step, group)

    def _moved(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Move the momentum of a matrix, and return what its step is made of."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: torch.Tensor = state["momentum_buffer"]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)

    def _take(self, parameter: torch.Tensor, step: torch.Tensor, group: dict[str, Any]) -> None:
        """Take an orthogonal step."""
        size = self._size(parameter, group)
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(step.mul_(size * (group["lr"] * max(parameter.shape) ** 0.5)))

    def _size(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        state = self.state[parameter]
        if "size" not in state:
            state["size"] = super()._size(parameter, group)
        size: torch.Tensor = state["size"]
        return size


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return nearly the orthogonal matrices next to matrices.

    (rows, columns) or (number, rows, columns). Five Newton-Schulz steps in bfloat16, with the numbers of Jordan 2024
    (torch.optim.Muon has the same): all singular values come to lie between about 0.7 and 1.2.

    >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.5]))).float())
    >>> bool(((values > 0.6) & (values < 1.3)).all())
    True
    """
    if matrices.ndim == 2:
        return orthogonal(matrices[None])[0]
    is_high = matrices.shape[1] > matrices.shape[2]
    wide = (matrices.mT if is_high else matrices).bfloat16()
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        products = wide @ wide.mT
        products = torch.baddbmm(products, products, products, beta=NEWTON[1], alpha=NEWTON[2])
        wide = torch.baddbmm(wide, products, wide, beta=NEWTON[0])
    return (wide.mT if is_high else wide).to(matrices.dtype)


class Choice(Protocol):
    """What an optimizer is made of.

    The options of a pretraining or of a fine-tuning.
    """

    @property
    def optimizer(self) -> Literal["adamw", "muon", "adafactor"]: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def optimizer_for(choice: Choice, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer that the options name, for all parameters of a model.

    The biases of relative positions take steps like those of the embeddings: in proportion to their own size,
    which is 0.06 at the start, they would need most of a short training to matter.
    """
    if choice.optimizer == "adafactor":
        rate, decay = choice.learning_rate, choice.weight_decay
        return torch.optim.Adafactor(model.parameters(), lr=rate, weight_decay=decay)
    named = list(model.named_parameters())
    if choice.optimizer == "muon":
        return ScaledMuon(_muon_groups(named), lr=choice.learning_rate, weight_decay=choice.weight_decay)
    groups: list[dict[str, Any]] = [
        {"params": [parameter for name, parameter in named if BIASES not in name]},
        {"params": [parameter for name, parameter in named if BIASES in name], "smallest_size": BIAS_SIZE},
    ]
    return ScaledAdamW(groups, lr=choice.learning_rate, weight_decay=choice.weight_decay)


def _muon_groups(named: Iterable[tuple[str, torch.Tensor]]) -> list[dict[str, Any]]:
    """Return a group for each parameter; inner matrices are Muon's."""
    groups: list[dict[str, Any]] = []
    for name, parameter in named:
        group: dict[str, Any] = {"params": [parameter]}
        if BIASES in name:
            group["smallest_size"] = BIAS_SIZE
        elif parameter.ndim == 2 and not name.startswith(("shared.", "lm_head.")):
            group["orthogonal"] = True
        groups.append(group)
    return groups


def autocast(precision: Literal["auto", "bf16", "fp32"], device: str) -> Callable[[], Any]:
    """Return a context for the forward pass, in bfloat16 or not.

    bfloat16 if it is asked for, or if "auto" finds a processor that computes with it.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities()
        fast = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    if precision == "bf16" or (precision == "auto" and fast):
        return lambda: torch.autocast(kind, torch.bfloat16)
    return nullcontext


def flush_denormals() -> None:
    """Let numbers below float32's normal range be zero, in this thread, from now on.

    The softmax of sharp attention is full of them, and a processor takes them one by one: a step of training then
    lasts three times as long.
    """
    torch.set_flush_denormal(True)
