"""The verbs on text: restore, normalize, tokenize, encode, decode."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import FILES, FOLDER, decodes_lines, force_option, lines, reading, vocab_option


@click.command()
@FILES
@click.option("--output", type=FOLDER, help="A file; default: standard output.")
@click.option(
    "--model", type=FOLDER, metavar="DIR", help="What `finetune --task accents` wrote; else what ships."
)
@click.option("--redo", is_flag=True, help="Decide accents that are there too; else they stay.")
@force_option
@decodes_lines
def restore(files: tuple[str, ...], output: Path | None, **options: Any) -> None:
    """Put accents and ñ back into Spanish text: el nino -> el niño.

    Reads FILES, or standard input; writes a line for each line. Nothing else of the text changes: capitals, digits,
    spaces, line ends, URLs, e-mails, @names, words with digits or _, and words of other alphabets stay.
    """
    how = reading(options)
    st.restore(**lines(files), output=output or "-", reading=how, progress=True, **options)


@click.command()
@FILES
@vocab_option
@decodes_lines
def normalize(files: tuple[str, ...], vocab: Path | None, **options: Any) -> None:
    """Map lines of text into the closed alphabet of a vocabulary.

    Reads FILES, or standard input; writes a line for each line.
    """
    st.normalize(**lines(files), output="-", vocab=vocab, reading=reading(options), progress=True)


@click.command()
@FILES
@vocab_option
@click.option("--eos", is_flag=True, help="End every line with </s>.")
@decodes_lines
def encode(files: tuple[str, ...], vocab: Path | None, eos: bool, **options: Any) -> None:
    """Turn lines of text into lines of ids.

    Reads FILES, or standard input. For whole data sets use `shard`.
    """
    st.encode(
        **lines(files), output="-", vocab=vocab, append_eos=eos, reading=reading(options), progress=True
    )


@click.command()
@FILES
@vocab_option
@decodes_lines
def decode(files: tuple[str, ...], vocab: Path | None, **options: Any) -> None:
    """Turn lines of ids, separated by spaces, back into lines of text.

    Reads FILES, or standard input.
    """
    st.decode(**lines(files), output="-", vocab=vocab, reading=reading(options), progress=True)


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@vocab_option
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a text: normalized, pieces, ids, offsets."
)
@click.option(
    "--explain/--no-explain", default=None, help="Show what normalization changed; default: on a terminal."
)
@decodes_lines
def tokenize(
    texts: tuple[str, ...], vocab: Path | None, as_json: bool, explain: bool | None, **options: Any
) -> None:
    """Show how texts are cut into pieces, and what normalization changed.

    TEXT is a text to show; without one, each line of standard input.
    """
    explain = sys.stdout.isatty() if explain is None and not as_json else bool(explain)
    tokenizer = st.Tokenizer.load(vocab)
    how = reading(options)
    for tokens in st.tokenize(**lines((), texts), vocab=tokenizer, reading=how, progress=True):
        changes = st.changes(tokens.text, tokenizer.table) if explain else []
        if as_json:
            shown = {"changes": changes} if explain else {}
            click.echo(json.dumps(tokens.to_dict() | shown, ensure_ascii=False))
        else:
            click.echo(_shown(tokens, changes), nl=False)


def _shown(tokens: "st.Tokens", changes: list[dict[str, object]]) -> str:
    """Return pieces on alternating grounds, each id below its piece.

    Lines are as wide as the terminal.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    pieces, ids = Text(), Text(style="dim")
    with console.capture() as shown:
        for index, (piece, token_id) in enumerate(zip(tokens.pieces, tokens.ids, strict=True)):
            width = max(cell_len(piece), len(str(token_id)))
            if pieces and cell_len(pieces.plain) + width > console.width:
                console.print(pieces, ids, sep="\n")
                pieces, ids = Text(), Text(style="dim")
            pieces.append(piece, style="black on cyan" if index % 2 else "black on yellow")
            pieces.append(" " * (width - cell_len(piece) + 1))
            ids.append(str(token_id).ljust(width + 1))
        console.print(pieces, ids, sep="\n")
        for line in _change_lines(tokens, changes):
            console.print(Text(line, style="dim"))
    return shown.get()


def _change_lines(tokens: "st.Tokens", changes: list[dict[str, object]]) -> list[str]:
    """Return the normalized text, and each kind of change once.

    How often, which characters, into what.
    """
    kinds = Counter((str(change["from"]), str(change["to"])) for change in changes)
    rows = [f"{times:>5} x  {source}  ->  {target!r}" for (source, target), times in kinds.items()]
    return [f"normalized: {tokens.normalized}", *rows] if rows else []
