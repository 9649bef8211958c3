"""The verb on token shards."""

from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import (
    FOLDER,
    engine,
    force_option,
    reading,
    reads_files,
    runs_on_engines,
    set_option,
    vocab_option,
)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reads_files
@vocab_option
@runs_on_engines
@click.option("--eos", "append_eos", is_flag=True, help="End every record with </s>.")
@click.option(
    "--shard-bytes",
    type=click.IntRange(1),
    default=32 << 20,
    show_default=True,
    help="Bytes of text in a shard.",
)
@set_option("ShardOptions")
@click.option("--decode", is_flag=True, help="Turn a folder of token shards back into shards of text.")
@click.option("--output", required=True, type=FOLDER, help="Folder to write.")
@force_option
def shard(
    files: tuple[str, ...],
    vocab: Path | None,
    assignments: tuple[str, ...],
    decode: bool,
    output: Path,
    force: bool,
    **options: Any,
) -> None:
    """Turn FILES of text into shards of ids, with a manifest.

    A shard is a Parquet file (id, tokens: list of uint16).

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed), a recipe, or a folder that `sample` or
    `clean` wrote. If it is interrupted, run it again: it resumes.
    """
    if decode and "ray" in (options["engine"], options["reader"]):
        raise st.SpanishTokError(
            "--decode runs on this machine alone", "Leave --engine and --reader ray out."
        )
    how, runner = reading(options), engine(options)
    if decode and len(files) > 1:
        raise st.SpanishTokError("--decode takes one folder", "Give a folder that `spanish-tok shard` wrote.")
    if decode:
        result = st.decode_shards(
            files[0], output, vocab, engine=st.Local(runner.threads), progress=True, force=force
        )
    else:
        changes = {**options, **st.assigned(assignments)}
        result = st.shard(
            list(files), output, vocab, reading=how, engine=runner, progress=True, force=force, **changes
        )
    manifest = result.to_dict()
    counted = f"{result.records:,} records" + (f", {result.ids:,} ids" if "ids" in manifest else "")
    click.echo(f"{counted}, {len(manifest['shards'])} shards: {output}")
