"""What the site makes when it is built: the reference, the changelog, and the files of the playground.

A public name stands on the page of its chapter, a verb on the page of the command line; no list has to be kept.
"""

import base64
import importlib
import re
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

import spanish_tok as st
from spanish_tok.measure.html import json_for_html, live_data

TOP = Path(__file__).parents[2]
BESIDE, SEEDS = [1000, 8000], 100_000  # vocabularies of the playground beside the one that ships
MODELS = "es-5000"  # the vocabulary that the model reads
PIECES = re.compile("<!-- pieces: (.*) -->")
HEADS = {
    "corpus": "Sampling and cleaning records.",
    "readers": "What is read, and how.",
    "text": "The closed alphabet, and the table that maps every character into it.",
    "vocab": "Counts, training, and a vocabulary with its files.",
    "tokenization": "Text to ids and back.",
    "shards": "Ids of whole data sets on disk.",
    "t5": "The model.",
    "generation": "Text that a model writes.",
    "tasks": "Answers, classes, summaries.",
    "training": "Pretraining and fine-tuning.",
    "measure": "Bench, compare, verify, and their reports.",
    "plans": "All steps by one command.",
    "parallel": "Where work runs. The bytes never depend on it.",
    "package": "What every verb shares.",
}
TITLES = {"vocab": "Vocabulary", "t5": "Model", "measure": "Measuring", "parallel": "Engines"}
TITLES |= {"package": "Errors, options, progress"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and scripts that are made from the code."""
    for chapter, names in chapters().items():
        files.append(File.generated(config, f"reference/{chapter}.md", content=chapter_page(chapter, names)))
    files.append(File.generated(config, "reference/command-line.md", content=command_line_page()))
    files.append(File.generated(config, "changelog.md", content=changelog_page()))
    for name, script in playground_scripts().items():
        files.append(File.generated(config, f"assets/playground/{name}", content=script))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Cut the texts of comments `pieces: TEXT`, and show each piece with its id, in the colours of the playground."""
    return PIECES.sub(lambda found: pieces_html(found[1]), markdown)


def pieces_html(text: str) -> str:
    """Return the pieces of a text, and below each its id."""
    tokenizer = st.Tokenizer.load()
    shown = zip(tokenizer.tokens(text), tokenizer.encode(text), strict=True)
    items = "".join(
        f'<li class="pg-piece-{place % 4}">{escape(piece)}<span>{number}</span></li>'
        for place, (piece, number) in enumerate(shown)
    )
    listed = f'<ol class="pg-pieces" lang="es" aria-label="Its pieces and ids">{items}</ol>'
    return f'<p lang="es">{escape(text)}</p>\n{listed}\n'


def on_post_page(output: str, page: Any, config: Any) -> str:  # noqa: ARG001
    """Name the dialog of the search, and turn heads of columns that say nothing into plain cells."""
    output = output.replace('role="dialog">', 'role="dialog" aria-label="Search">')
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", output)


def chapters() -> dict[str, list[str]]:
    """Return the public names of each chapter; those of modules beside the chapters are the package's."""
    package = importlib.import_module("spanish_tok")
    found: dict[str, list[str]] = defaultdict(list)
    for name, module in package._HOMES.items():
        chapter, dot, _ = module.partition(".")
        found[chapter if dot else "package"].append(name)
    return dict(found)


def chapter_page(chapter: str, names: list[str]) -> str:
    """Return the page of a chapter: functions before classes, each by its alphabet."""
    title, head = TITLES.get(chapter, chapter.capitalize()), HEADS.get(chapter, "")
    ordered = sorted(names, key=lambda name: (name[0].isupper(), name))
    return f"# {title}\n\n{head}\n\n" + "".join(f"::: spanish_tok.{name}\n\n" for name in ordered)


def changelog_page() -> str:
    """Return the changelog of the repository, for lines that link nothing of it."""
    return (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


def playground_scripts() -> dict[str, str]:
    """Return the scripts of the playground: classic ones, which pages from file:// load, too."""
    tokenizer = TOP / "spanish_tok" / "measure" / "tokenizer.js"
    scripts = {
        path.name: path.read_text("utf-8") for path in [tokenizer, *Path(__file__).parent.glob("*.js")]
    }
    model = TOP / "models" / "es-tiny"
    weights = base64.b64encode((model / "model-int8.safetensors").read_bytes()).decode()
    config = (model / "config.json").read_text("utf-8")
    scripts["weights.js"] = f'SPANISH_TOK_CONFIG = {config};\nSPANISH_TOK_WEIGHTS = "{weights}";\n'
    scripts["vocabularies.js"] = f"SPANISH_TOK_VOCABULARIES = {json_for_html(vocabularies())};\n"
    return scripts


def vocabularies() -> dict[str, Any]:
    """Return the vocabulary that ships and two more from its counts; their normalization is the same."""
    counts = st.Counts.load(TOP / "corpus" / "es-counts.parquet")
    shown = {MODELS: st.Vocabulary.load()}
    shown |= {f"es-{size}": one for size, one in st.train(counts, size=BESIDE, seeds=SEEDS).items()}
    data = {name: live_data(vocabulary) for name, vocabulary in shown.items()}
    (charsmap,) = {one.pop("charsmap") for one in data.values()}  # all normalize alike
    return {"charsmap": charsmap, "vocabularies": data, "model": MODELS}


def command_line_page() -> str:
    """Return the page of all verbs, as click knows them."""
    main = importlib.import_module("spanish_tok.cli").main
    top = click.Context(main, info_name="spanish-tok")
    verbs = [(name, main.get_command(top, name)) for name in main.list_commands(top)]
    listed = "".join(f"- [`{name}`](#{name}) {verb.get_short_help_str(90)}\n" for name, verb in verbs)
    begin = "# Command line\n\nEach verb is also a function of its name. Wrong input is one line and status 2.\n\n"
    return begin + listed + "".join(verb_section(top, name, verb) for name, verb in verbs)


def verb_section(top: click.Context, name: str, verb: click.Command) -> str:
    """Return one verb: how it is called, what it does, its options."""
    context = click.Context(verb, info_name=name, parent=top)
    usage = " ".join(verb.collect_usage_pieces(context))
    said = re.sub(r"\n(?!\n)[ ]+", "\n", escaped(verb.help or ""))
    lines = [f"\n## {name} {{ #{name} }}\n", f"```text\nspanish-tok {name} {usage}\n```\n", f"{said}\n"]
    for parameter in verb.get_params(context):
        if record := parameter.get_help_record(context):
            option, told = record
            lines.append(f"`{option}`\n:   {escaped(told) or '—'}\n")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text in which Markdown marks nothing.

    >>> escaped("VOCAB is a *.json of <us>")
    'VOCAB is a \\\\*.json of &lt;us&gt;'
    """
    return re.sub(r"([*_`\[\]])", r"\\\1", text.replace("<", "&lt;").replace(">", "&gt;"))
