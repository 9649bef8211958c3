"""The verbs on text: normalize, tokenize, encode, decode."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spanish_tok.cli.options import FILES, lines_of, vocab_option
from spanish_tok.errors import SpanishTokError

if TYPE_CHECKING:
    from spanish_tok.tokenization.tokenizer import Tokenizer


@click.command()
@FILES
def normalize(files: tuple[str, ...]) -> None:
    """Map lines of text into the closed Spanish alphabet.

    Reads FILES, or standard input; writes a line for each line.
    """
    from spanish_tok.text.table import normalize

    for _, _, line in lines_of(files):
        click.echo(normalize(line))


@click.command()
@FILES
@vocab_option
@click.option("--eos", is_flag=True, help="End every line with </s>.")
def encode(files: tuple[str, ...], vocab: Path | None, eos: bool) -> None:
    """Turn lines of text into lines of ids.

    Reads FILES, or standard input. For whole data sets use `shard`.
    """
    from spanish_tok.tokenization.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(vocab)
    for _, _, line in lines_of(files):
        click.echo(" ".join(map(str, tokenizer.encode(line, append_eos=eos))))


@click.command()
@FILES
@vocab_option
def decode(files: tuple[str, ...], vocab: Path | None) -> None:
    """Turn lines of ids, separated by spaces, back into lines of text.

    Reads FILES, or standard input.
    """
    from spanish_tok.tokenization.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(vocab)
    for name, number, line in lines_of(files):
        try:
            click.echo(tokenizer.decode([int(word) for word in line.split()]))
        except ValueError as error:
            raise SpanishTokError(f"{name}, line {number}: {error}", "Give whole numbers only.") from None
        except SpanishTokError as error:
            raise SpanishTokError(f"{name}, line {number}: {error.problem}", error.advice) from None


@click.command()
@click.argument("texts", nargs=-1, metavar="TEXT...")
@vocab_option
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a text: normalized, pieces, ids, offsets."
)
@click.option(
    "--explain/--no-explain", default=None, help="Show what normalization changed; default: on a terminal."
)
def tokenize(texts: tuple[str, ...], vocab: Path | None, as_json: bool, explain: bool | None) -> None:
    """Show how texts are cut into pieces: coloured, with the ids, and what normalization changed.

    TEXT is a text to show; without one, each line of standard input.
    """
    from spanish_tok.tokenization.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(vocab)
    explain = sys.stdout.isatty() if explain is None and not as_json else bool(explain)
    for text in texts or (line for _, _, line in lines_of(())):
        if as_json:
            click.echo(json.dumps(_as_json(tokenizer, text, explain), ensure_ascii=False))
        else:
            click.echo(_shown(tokenizer, text, explain), nl=False)


def _as_json(tokenizer: "Tokenizer", text: str, explain: bool) -> dict[str, object]:
    from spanish_tok.text.alignment import changes

    shown: dict[str, object] = {
        "text": text,
        "normalized": tokenizer.normalize(text),
        "pieces": tokenizer.tokens(text),
        "ids": tokenizer.encode(text),
        "offsets": tokenizer.offsets(text),
    }
    return {**shown, "changes": changes(text)} if explain else shown


def _shown(tokenizer: "Tokenizer", text: str, explain: bool) -> str:
    """Pieces on alternating grounds, each id below its piece, lines as wide as the terminal."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    pieces, numbers = Text(), Text(style="dim")
    with console.capture() as shown:
        for place, (piece, number) in enumerate(
            zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True)
        ):
            width = max(cell_len(piece), len(str(number)))
            if pieces and cell_len(pieces.plain) + width > console.width:
                console.print(pieces, numbers, sep="\n")
                pieces, numbers = Text(), Text(style="dim")
            pieces.append(piece, style="black on cyan" if place % 2 else "black on yellow")
            pieces.append(" " * (width - cell_len(piece) + 1))
            numbers.append(str(number).ljust(width + 1))
        console.print(pieces, numbers, sep="\n")
        for line in _change_lines(tokenizer, text) if explain else []:
            console.print(Text(line, style="dim"))
    return shown.get()


def _change_lines(tokenizer: "Tokenizer", text: str) -> list[str]:
    """What became of the text, and each kind of change once: how often, which characters, into what."""
    from collections import Counter

    from spanish_tok.text.alignment import changes

    kinds = Counter((str(change["from"]), str(change["to"])) for change in changes(text))
    lines = [f"{times:>5} x  {source}  ->  {target!r}" for (source, target), times in kinds.items()]
    return [f"normalized: {tokenizer.normalize(text)}", *lines] if lines else []
