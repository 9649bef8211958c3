"""The verb that pretrains a model."""

from pathlib import Path

import click

from spanish_tok.cli.options import vocab_option
from spanish_tok.errors import SpanishTokError


@click.command()
@click.argument("shards", type=click.Path(path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Folder to write, or to go on in."
)
@click.option("--recipe", type=click.Path(path_type=Path), help="TOML file; default: the shipped one.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change an entry of the recipe.")
@vocab_option
@click.option("--threads", type=click.IntRange(1), help="Default: all allowed cores.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda for one GPU.")
@click.option(
    "--show-recipe",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, wanted: _show_recipe(context) if wanted else None,
    help="Print the shipped recipe, which explains every entry.",
)
def pretrain(
    shards: Path,
    output: Path,
    recipe: Path | None,
    changes: tuple[str, ...],
    vocab: Path | None,
    threads: int | None,
    device: str,
) -> None:
    """Pretrain a T5 on SHARDS, a folder that `shard` wrote, by span corruption.

    Writes checkpoints, a log (log.csv) and the loss curve (loss.png, loss.svg). If it is interrupted, run it again: it
    goes on from the newest checkpoint, and its losses are those of a run that was not interrupted.
    """
    import torch

    from spanish_tok.parallel.threads import available_cores
    from spanish_tok.progress import progress
    from spanish_tok.shards.writer import read_shards
    from spanish_tok.tokenization.tokenizer import Tokenizer
    from spanish_tok.training.pretrain import Pretraining
    from spanish_tok.training.pretrain_options import PretrainOptions

    torch.set_num_threads(threads or available_cores())
    chosen = PretrainOptions.load(recipe).with_values(_entries(changes))
    tokenizer = Tokenizer.load(vocab)
    arrays = read_shards(shards, tokenizer.vocabulary)
    training = Pretraining(*arrays, tokenizer, chosen, output, _checked(device))
    click.echo(training.summary(), err=True)
    with progress("pretraining", total=chosen.steps) as bar:
        checkpoint = training.run(bar)
    click.echo(f"{training.reached.shown()}: {checkpoint}")


def _show_recipe(context: click.Context) -> None:
    from spanish_tok.training.pretrain_options import SHIPPED

    click.echo(SHIPPED.read_text(encoding="utf-8"), nl=False)
    context.exit()


def _entries(changes: tuple[str, ...]) -> dict[str, str]:
    for change in changes:
        if "=" not in change:
            raise SpanishTokError(
                f"--set {change} is not NAME=VALUE", "Write, say, --set learning_rate=0.01."
            )
    return dict(change.split("=", 1) for change in changes)


def _checked(device: str) -> str:
    import torch

    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise SpanishTokError(
            f"There is no device {device!r} here", "Leave --device out to train on the CPU."
        )
    return device
