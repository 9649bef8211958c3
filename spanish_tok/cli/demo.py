"""The verb that shows the main job: demo."""

from pathlib import Path

import click

import spanish_tok as st
from spanish_tok.cli.options import FOLDER


@click.command()
@click.option("--output", type=FOLDER, default=Path("spanish-tok-demo"), show_default=True)
@click.option("--t5", is_flag=True, help="Train a tiny T5 instead and let it fill masks; needs the extra t5.")
@click.option("--text", help="With --t5: a file of records to train on; default: the shipped sentences.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True)
def demo(output: Path, t5: bool, text: str | None, minutes: float) -> None:
    """Train a 5,000-id vocabulary from the embedded counts, and show it, offline."""
    st.demo(output, t5=t5, text=text, minutes=minutes, progress=True)
