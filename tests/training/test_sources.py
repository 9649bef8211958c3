"""Pretraining on several folders of shards, each with a weight."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spanish_tok as st
from spanish_tok.shards.reader import joined
from spanish_tok.training.pretrain import repeats_of
from spanish_tok.training.pretraining.loop import Pretraining

pytest.importorskip("torch")
TINY: dict[str, Any] = {
    "steps": 3,
    "warmup": 0,
    "batch_size": 2,
    "precision": "fp32",
    "held_out": 0.0,
    "validation_records": 0,
}
WORDS = {"novels": "caballo", "passages": "banco"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders of shards: 40 records about a horse, 40 about a bank."""
    folder = tmp_path_factory.mktemp("sources")
    for name, word in WORDS.items():
        st.shard(texts=[f"el {word} número {k} de la lista" for k in range(40)], output=folder / name)
    return [folder / name for name in WORDS]


def trained(sources: list[Path], folder: Path, **changes: Any) -> Pretraining:
    options = st.PretrainOptions(**{**TINY, **changes})
    parts = [st.load_shards(source) for source in sources]
    repeats = repeats_of(parts, options)
    return Pretraining(*joined(parts), st.Tokenizer.load(), options, folder, repeats=repeats)


@pytest.mark.parametrize(
    ("weights", "seen"), [((0.5, 1), (1, 2)), ((3, 1), (3, 1)), ((), (1, 1)), ((2, 2), (1, 1))]
)
def test_an_epoch_shows_records_as_often_as_their_source_weighs(
    sources: list[Path], tmp_path: Path, weights: tuple[float, ...], seen: tuple[int, int]
) -> None:
    batches = trained(sources, tmp_path, weights=weights).batches
    tokenizer, text = st.Tokenizer.load(), ""
    for step in range(batches.batches_per_epoch):
        for inputs, targets in zip(*batches.batch(step), strict=True):
            rows = [row[: np.flatnonzero(row)[-1] + 1].tolist() for row in (inputs, targets)]
            text += tokenizer.decode(batches.corruption.rebuild(*rows)) + " "
    found = Counter(word for word in text.split() if word in WORDS.values())
    assert [found[word] for word in WORDS.values()] == [40 * times for times in seen]


def test_folders_without_weights_train_as_one_folder_with_all_records(
    sources: list[Path], tmp_path: Path
) -> None:
    texts = [f"el {word} número {k} de la lista" for word in WORDS.values() for k in range(40)]
    apart = st.pretrain(sources, tmp_path / "apart", threads=1, **TINY)
    together = st.pretrain(texts=texts, output=tmp_path / "together", threads=1, **TINY)
    assert (apart.first_loss, apart.last_loss, apart.tokens) == (
        together.first_loss,
        together.last_loss,
        together.tokens,
    )


def test_weights_are_part_of_what_a_run_is(sources: list[Path], tmp_path: Path) -> None:
    st.pretrain(sources, tmp_path / "run", weights=(1, 2), **TINY)
    assert st.pretrain(sources, tmp_path / "run", weights=(1, 2), **{**TINY, "steps": 4}).steps == 4
    with pytest.raises(st.SpanishTokError, match="another training: it differs in weights"):
        st.pretrain(
            sources,
            tmp_path / "run",
            weights=(
                2,
                1,
            ),
            **TINY,
        )


def test_a_recipe_and_the_command_line_name_them(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("weights = [0.5, 1]\n")
    assert st.PretrainOptions.load(recipe).repeats == (1, 2)
    assert st.PretrainOptions().with_strings(["weights=0.5, 1"]).repeats == (1, 2)
    assert st.PretrainOptions().with_strings(["weights="]).weights == ()


@pytest.mark.parametrize("weights", [(0,), (-1, 1), (float("nan"),), (float("inf"), 1), (1, 101), (0.001, 1)])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(st.SpanishTokError, match=r"weights = .* must be numbers above 0 in a ratio"):
        st.PretrainOptions(weights=weights)


@pytest.mark.parametrize("weights", ["one", [1, "x"], 3, None, [[1]]])
def test_weights_of_another_type_are_refused(weights: object) -> None:
    with pytest.raises(st.SpanishTokError, match=r"weights = .* is not a list, each a number"):
        st.pretrain(texts=["hola"], weights=weights)


def test_as_many_weights_as_folders(sources: list[Path]) -> None:
    with pytest.raises(st.SpanishTokError, match="There are 2 sources of shards, but 3 weights"):
        st.pretrain(sources, weights=(1, 2, 3))
    with pytest.raises(st.SpanishTokError, match="There is no folder of shards"):
        st.pretrain([])
