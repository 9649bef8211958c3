"""The optimizers: AdamW with steps scaled to each matrix, and Adafactor."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Literal, Protocol, overload

import torch

SMALLEST_SIZE = 1e-3  # a matrix of zeros must be able to leave them
BIAS_SIZE = 1.0  # a bias starts near 0 and must reach several units before attention looks at neighbours
BIASES = "relative_attention_bias"


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
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        number, (first, second) = state["step"].item(), group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = max(group["smallest_size"], parameter.square().mean().sqrt().item())
        step = group["lr"] * size * (1 - second**number) ** 0.5 / (1 - first**number)
        parameter.addcdiv_(mean, square.sqrt().add_(group["eps"]), value=-step)
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])


class Choice(Protocol):
    """What an optimizer is made of.

    The options of a pretraining or of a fine-tuning.
    """

    @property
    def optimizer(self) -> Literal["adamw", "adafactor"]: ...
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
    groups: list[dict[str, Any]] = [
        {"params": [parameter for name, parameter in named if BIASES not in name]},
        {"params": [parameter for name, parameter in named if BIASES in name], "smallest_size": BIAS_SIZE},
    ]
    return ScaledAdamW(groups, lr=choice.learning_rate, weight_decay=choice.weight_decay)


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
