"""The files of a trimmed model beside its weights.

What other libraries read there says the same as what is read here.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanish_tok.errors import panics_told
from spanish_tok.measure.checks.results import Check
from spanish_tok.t5.foreign.cut_files import LISTS, ROWS
from spanish_tok.t5.foreign.kept_pieces import NEEDED
from spanish_tok.t5.foreign.source import ModelSource
from spanish_tok.vocab.foreign import JSON
from spanish_tok.vocab.vocabulary import Vocabulary

IDS = frozenset({*NEEDED, *LISTS, *ROWS, "sequence_bias"})  # entries of configs that hold ids


def config_check(trimmed: ModelSource, source: ModelSource, new: Mapping[int, int]) -> Check:
    """Check that the ids in the configs are the original's, renumbered."""
    expected = {name: _ids_in(values) for name, values in source.renumbered(new).items()}
    found = {name: _ids_in(trimmed.configs.get(name, {})) for name in expected}
    wrong = sorted(
        f"{name}: {entry} is {found[name].get(entry)}, not {ids.get(entry)}"
        for name, ids in expected.items()
        for entry in {*ids, *found[name]}
        if ids.get(entry) != found[name].get(entry)
    )
    tried = len({(name, entry) for name in expected for entry in {*expected[name], *found[name]}})
    return Check("ids in the configs", tried, len(wrong), wrong[0] if wrong else "")


def _ids_in(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that hold ids, at any depth, by their path."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name in IDS and value is not None:
            found[name] = value
        elif isinstance(value, dict):
            found |= {f"{name}.{inner}": ids for inner, ids in _ids_in(value).items()}
    return found


def tokenizer_json_check(
    trimmed: Vocabulary, original: Vocabulary, folders: tuple[Path, Path], texts: Sequence[str]
) -> Iterator[Check]:
    """Check that tokenizer.json cuts texts of kept pieces as the original's.

    No check without one. folders: of the trimmed model and of its original. A vocabulary of ours has a manifest that
    guards the file.
    """
    if not original.foreign or JSON not in original.foreign.files or not (folders[0] / JSON).exists():
        return
    from tokenizers import Tokenizer as Peer

    engines = []
    for folder in folders:
        with panics_told(folder / JSON):
            engines.append(Peer.from_file(str(folder / JSON)))
    pieces = [dict(enumerate(vocabulary.pieces)) for vocabulary in (trimmed, original)]

    def agrees(text: str) -> bool:
        after, before = (
            [names.get(number) for number in engine.encode(text).ids]
            for names, engine in zip(pieces, engines, strict=True)
        )
        return after == before

    yield Check.of(f"{JSON}: ids, on texts of kept pieces", texts, agrees)
