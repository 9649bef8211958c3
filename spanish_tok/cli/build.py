"""The verb that does everything: build."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import spanish_tok as st
from spanish_tok.cli.options import FOLDER, device_option, engine, reading, reads_files, runs_on_engines


@click.command()
@click.argument("plan")
@click.argument("files", nargs=-1, type=click.Path(), metavar="[RECIPE | FILES...]")
@click.option("--output", required=True, type=FOLDER, help="Folder to write, or to resume in.")
@click.option("--until", metavar="STEP", help="The last step to do.")
@click.option("--dry-run", is_flag=True, help="Print the steps, downloads, disk and time, and do nothing.")
@click.option(
    "--set", "assignments", multiple=True, metavar="STEP.NAME=VALUE",
    help="Change an entry of the plan, say train.size=8000; several times.",
)  # fmt: skip
@reads_files
@device_option
@runs_on_engines
def build(
    plan: str, files: tuple[str, ...], output: Path, assignments: tuple[str, ...], **options: Any
) -> None:
    """Go from records to a measured model: do the steps of PLAN, each once.

    PLAN is mmarco-tiny, files-tiny, or a TOML file; FILES are read instead of its own input. Run again, the command
    resumes there; steps whose input and options are unchanged are skipped.
    """
    chosen = st.Plan.load(plan).with_strings(assignments)
    how, runner = reading(options), engine(options)
    if how != st.ReadOptions():
        chosen = replace(chosen, reading=how)
    result = st.build(chosen, output, input=list(files) or None, engine=runner, progress=True, **options)
    result.show()
    if isinstance(result, st.BuildResult):
        click.echo(f"{output / 'index.html'} shows all of this")
