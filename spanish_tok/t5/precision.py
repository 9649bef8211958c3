"""What a training is computed in."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import torch


def autocast(precision: Literal["auto", "bf16", "fp32"], device: str) -> Callable[[], Any]:
    """A context for the forward pass: bfloat16 where it is asked for, or where "auto" finds a processor that computes
    with it.
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
