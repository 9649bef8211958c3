"""One row of the log of a fine-tuning."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass

from spanish_tok.training.finetuning.records import TaskRecords
from spanish_tok.training.log import COLUMN


@dataclass
class FinetuneStep:
    """One step of the log; losses in nats per token.

    The last two figures only at the end of an epoch: the metric is the mean of those of all tasks.
    """

    step: int
    epoch: int
    tokens: int  # so far; inputs and targets, padding left out
    cpu_seconds: float  # so far
    loss: float
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens_per_second: int
    validation_loss: float | None = None
    metric: float | None = None

    def shown(self) -> str:
        """Return the figures in a few words, for a progress bar."""
        return f"epoch {self.epoch}, loss {self.loss:.3f}, {self.tokens_per_second:,} tokens/s"


def step_of(tasks: Sequence[TaskRecords]) -> type[FinetuneStep]:
    """Return the kind of a log's rows.

    Of several tasks, each has a column for its own metric.
    """
    own = [
        (
            f"metric_{number}",
            float | None,
            field(default=None, metadata={COLUMN: f"{one.bundle.task.metric} of {one.name}"}),
        )
        for number, one in enumerate(tasks, 1)
    ]
    return FinetuneStep if len(tasks) == 1 else make_dataclass("MixtureStep", own, bases=(FinetuneStep,))


def metric_names(step: FinetuneStep) -> list[str]:
    """Return the fields that hold each task's metric; `metric` for one alone."""
    return [entry.name for entry in fields(step)[len(fields(FinetuneStep)) :]] or ["metric"]


def metrics_of(step: FinetuneStep) -> list[float | None]:
    """Return the metric of each task."""
    return [getattr(step, name) for name in metric_names(step)]
