"""What was public before still works, and warns: each example of the README of version 0.1.0's first state."""

from pathlib import Path

import pytest

import spanish_tok
from spanish_tok.old_names import OLD_NAMES


@pytest.mark.parametrize("name", sorted(OLD_NAMES))
def test_an_old_name_is_found_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"spanish_tok\.{name} is deprecated: use "):
        assert getattr(spanish_tok, name) is not None
    assert name not in spanish_tok.__all__


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_examples_of_the_old_readme(tmp_path: Path) -> None:
    from spanish_tok import (
        CleanOptions,
        Tokenizer,
        Vocabulary,
        clean_files,
        count_files,
        count_runs,
        inputs_of,
        merge_samples,
        normalize,
        read_shards,
        sample_files,
        train_vocabulary,
        write_shards,
    )

    tokenizer = Tokenizer.load()
    assert tokenizer.encode("¡Qué mañana tan FRÍA!") == [388, 523, 740, 216, 398, 163, 229]
    assert tokenizer.tokens("¡Qué mañana tan FRÍA!") == ["▁¡", "qué", "▁mañana", "▁tan", "▁f", "ría", "!"]
    assert tokenizer.offsets("Buenos   días") == [(0, 6), (6, 13)]
    assert tokenizer.sentinel_id(0) == 4999
    assert tokenizer.encode_sampled("mañana", alpha=0.1, seed=2) == [188, 430, 84]
    assert len(tokenizer.encode_column(["Buenos días", "Adiós"])) == 2
    assert normalize("El 21½ % de la CIGÜEÑA… hola😀mundo") == "el 21 1/2 % de la cigüeña... hola mundo"

    counts = count_runs(["El perro come.", "La perra duerme."] * 50)
    vocabulary = train_vocabulary(counts, size=192)
    vocabulary.save(tmp_path / "mi-vocabulario")
    assert Vocabulary.load(tmp_path / "mi-vocabulario").fingerprint == vocabulary.fingerprint

    source = tmp_path / "pasajes.tsv"
    source.write_text("".join(f"{i}\tEl perro número {i} duerme en casa.\n" for i in range(40)), "utf-8")
    sampled = sample_files(inputs_of([source]), tmp_path / "muestra", size=10, clean=CleanOptions())
    assert sampled["rows"] == 10
    assert clean_files(inputs_of([source]), tmp_path / "limpio", clean=CleanOptions())["rows"] == 40
    assert callable(merge_samples)
    assert count_files([source]).records == 40
    assert write_shards([tmp_path / "muestra"], tmp_path / "tokens", tokenizer)["records"] == 10
    assert len(read_shards(tmp_path / "tokens").offsets) == 11
