"""The verbs on models: generate, export."""

from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FOLDER,
    decodes_lines,
    folder_size,
    force_option,
    lines,
    reading,
    set_option,
)


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("--model", type=FOLDER, metavar="DIR", help="Folder of a model; else the shipped one.")
@click.option(
    "--backend", type=click.Choice(["cpu", "torch"]), default="cpu", show_default=True, help="What computes."
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    help="Of the weights with cpu; else as they are stored.",
)
@click.option("--max-new-tokens", type=int, default=128, show_default=True, help="Longest output.")
@click.option(
    "--temperature", type=float, default=0.0, show_default=True, help="0: greedy; 1: as the model says."
)
@click.option(
    "--top-k", type=int, default=0, show_default=True, help="Draw from the k most probable ids; 0: all."
)
@click.option(
    "--top-p", type=float, default=1.0, show_default=True, help="Draw from the ids that hold this share."
)
@click.option("--beams", "num_beams", type=int, default=1, show_default=True, help="Above 1: beam search.")
@click.option(
    "--length-penalty", type=float, default=1.0, show_default=True, help="Of beams: above 0 favours long."
)
@click.option(
    "--no-repeat-ngram-size", type=int, default=0, show_default=True, help="No n-gram twice; 0: any may be."
)
@click.option(
    "--repetition-penalty", type=float, default=1.0, show_default=True, help="Above 1: fewer repetitions."
)
@click.option("--min-new-tokens", type=int, default=0, show_default=True, help="Shortest output.")
@click.option(
    "--num-return-sequences", type=int, default=1, show_default=True, help="Lines written for each text."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed draws another text.")
@set_option("GenerateOptions")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Lines at once.")
@click.option("--stream", is_flag=True, help="Write each piece as soon as it is known, one text at a time.")
@click.option("--scores", is_flag=True, help="Write the log-probability and a tab before each text.")
@decodes_lines
def generate(
    texts: tuple[str, ...],
    model: Path | None,
    backend: Any,
    precision: Any,
    batch_size: int,
    assignments: tuple[str, ...],
    stream: bool,
    **options: Any,
) -> None:
    """Fill the gaps <extra_id_0>, <extra_id_1>, ... of a text, or write on from it.

    TEXT is a text; without one, each line of standard input. A text with gaps is written whole, filled in; for one
    without, what the model wrote.
    """
    how = reading(options)
    options |= st.assigned(assignments)
    failed = st.generate(
        **lines((), texts), output="-", model=model, backend=backend, precision=precision,
        batch_size=batch_size, stream=stream, reading=how, progress=True, **options,
    )  # fmt: skip
    raise click.exceptions.Exit(1 if failed else 0)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--to",
    "form",
    required=True,
    type=click.Choice(["transformers", "ctranslate2", "onnx", "gguf", "keras", "int8"]),
    help="The library that reads it.",
)
@click.option(
    "--from", "source", type=click.Choice(["keras"]), help="What wrote FOLDER: a preset of KerasHub."
)
@click.option("--output", required=True, type=FOLDER, help="Folder to write.")
@force_option
@click.option(
    "--precision",
    help="transformers: float32 (default) or bfloat16; ctranslate2: float32 (default), int8, bfloat16, ...; "
    "onnx: float32 (default) or int8; gguf: f32 (default), f16 or q8_0.",
)
def export(
    folder: Path, form: str, source: str | None, output: Path, force: bool, precision: str | None
) -> None:
    """Write the model in FOLDER for another library."""
    st.export(folder, output, to=form, precision=precision, source=source, force=force)
    click.echo(f"{form}, {folder_size(output) / 1e6:.1f} MB: {output}")
