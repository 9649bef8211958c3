"""The verb on token shards."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spanish_tok.cli.options import reading, reads_files, runs_on_engines, threads_option, vocab_option
from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.parallel.engines import EngineName


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reads_files
@vocab_option
@threads_option
@runs_on_engines
@click.option("--eos", is_flag=True, help="End every record with </s>.")
@click.option(
    "--shard-bytes",
    type=click.IntRange(1),
    default=32 << 20,
    show_default=True,
    help="Bytes of text in a shard.",
)
@click.option("--decode", is_flag=True, help="Turn a folder of token shards back into shards of text.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder to write.")
def shard(
    files: tuple[str, ...],
    vocab: Path | None,
    threads: int | None,
    engine: "EngineName",
    address: str | None,
    eos: bool,
    shard_bytes: int,
    decode: bool,
    output: Path,
    **options: Any,
) -> None:
    """Turn FILES of text into shards of ids: Parquet files (id, tokens: list of uint16) and a manifest.

    FILES are text (Parquet, TSV, CSV, JSON lines, plain, also compressed) or a folder that `sample` or
    `clean` wrote. If it is interrupted, run it again: it goes on.
    """
    import pyarrow

    from spanish_tok.progress import progress
    from spanish_tok.shards.writer import ShardOptions, decode_shards, write_shards
    from spanish_tok.tokenization.tokenizer import Tokenizer

    # gives memory back, at once: 589 MB on two threads where 1 s later it is 680
    if "jemalloc" in pyarrow.supported_memory_backends():
        pyarrow.set_memory_pool(pyarrow.jemalloc_memory_pool())
        pyarrow.jemalloc_set_decay_ms(0)
    tokenizer = Tokenizer.load(vocab)
    if decode and len(files) > 1:
        raise SpanishTokError("--decode takes one folder", "Give a folder that `spanish-tok shard` wrote.")
    if decode and "ray" in (engine, options["reader"]):
        raise SpanishTokError("--decode runs on this machine alone", "Leave --engine and --reader ray out.")
    with progress("decoding records" if decode else "encoding records") as bar:
        if decode:
            manifest = decode_shards(files[0], output, tokenizer, workers=threads, progress=bar)
        else:
            chosen = ShardOptions(append_eos=eos, shard_bytes=shard_bytes)
            how = reading(**options)
            manifest = write_shards(
                files, output, tokenizer, options=chosen, reading=how, workers=threads,
                engine=engine, address=address, progress=bar,
            )  # fmt: skip
    for what in ("rejected", "repaired"):
        if manifest.get(what):
            click.echo(f"{manifest[what]:,} rows {what}.", err=True)
    counted = f"{manifest['records']:,} records" + (f", {manifest['ids']:,} ids" if "ids" in manifest else "")
    click.echo(f"{counted}, {len(manifest['shards'])} shards: {output}")
