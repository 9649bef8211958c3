"""Chunks found by their plain form: "Hola," as "hola" and a comma, where that changes no id."""

import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece

from spanish_tok import Vocabulary
from spanish_tok.kernels.text.encode import encode_records
from spanish_tok.kernels.text.known_chunks import Plain
from spanish_tok.text.alphabets import alphabet_table
from spanish_tok.text.arrow import bytes_and_offsets
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.tokenization.column_encoder import new_table
from spanish_tok.tokenization.compiler import CompiledVocabulary, compile_vocabulary

ACUTE = "\u0301"
STEMS = [
    "casa",
    "árbol",
    "así",
    "ñu",
    "3",
    "21",
    "niño",
    "x" * 13,
    "y" * 14,
    "z" * 15,
    "½",
    "ß",
    "a" + ACUTE,
    "—",
    "A" + ACUTE,
]
SIGNS = ["", "", ",", ".", ";", ":", "!", "?", "...", ")", '"', "»", "-", "%", "/"]


def compiled_of(vocabulary: Vocabulary) -> CompiledVocabulary:
    compiled = compile_vocabulary(vocabulary)
    assert compiled
    return compiled


def with_pieces(*pieces: str, table: NormalizationTable | None = None) -> Vocabulary:
    """A vocabulary of all characters, each improbable, and of some probable pieces."""
    table = table or spanish_table()
    scores = dict.fromkeys(table.alphabet.replace(" ", "▁"), -20.0) | dict.fromkeys(pieces, -2.0)
    return Vocabulary.build(scores, 100, table)


def sentences(seed: int) -> list[str]:
    """Texts of stems in all forms: with signs, with a capital, all in capitals."""
    draw = random.Random(seed)
    forms: list[Callable[[str], str]] = [str, str.capitalize, str.upper]
    words = [draw.choice(forms)(draw.choice(STEMS)) + draw.choice(SIGNS) for _ in range(4000)]
    return [" ".join(words[start : start + 20]) for start in range(0, len(words), 20)]


VOCABULARIES = {
    "the shipped one": Vocabulary.load(),
    "pieces of a letter and a sign": with_pieces("▁casa", "a,", "▁casa.", "o", "s.", "í:"),
    "pieces of a digit and a sign": with_pieces("▁casa", "▁21", "1.", "3,"),
    "cased": with_pieces("▁Casa", "▁casa", "CASA", table=alphabet_table("es", cased=True)),
    "signs alone": with_pieces("▁casa", "...", "▁,", ").", '."'),
}


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("sets", [1, 7, 1 << 10])
def test_ids_are_those_of_sentencepiece(name: str, sets: int) -> None:
    """Cold and warm, also where the table is so small that forms drive each other out."""
    vocabulary, texts = VOCABULARIES[name], sentences(sets)
    engine = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.serialized)
    known = new_table(sets)
    for _ in range(2):
        data, offsets = bytes_and_offsets(pa.array(texts, pa.large_string()))
        ids, ends, _ = encode_records(data, offsets, *compiled_of(vocabulary), known, -1)
        assert [ids[a:b].tolist() for a, b in pairwise(ends)] == engine.encode(texts)


def plain_of(name: str) -> Plain:
    return compiled_of(VOCABULARIES[name]).plain


def test_what_a_chunk_can_be_without() -> None:
    shipped = plain_of("the shipped one")
    assert shipped.capitals == 0x2020202020202020
    ids = {sign: int(shipped.sign_ids[ord(sign)]) for sign in ".,;:!?)"}
    assert ids == {sign: VOCABULARIES["the shipped one"].pieces.index(sign) for sign in ids}
    assert all(shipped.joins[ord(letter)] for letter in "azAZ09")
    assert shipped.joins[128 + ord("á") - 0xC0]
    assert not any(shipped.joins[ord(sign)] for sign in " .,-")


def test_what_pieces_join_is_never_parted() -> None:
    joined = plain_of("pieces of a letter and a sign")
    assert not any(joined.sign_ids[ord(sign)] for sign in ",.:")
    assert joined.sign_ids[ord(";")]
    digits = plain_of("pieces of a digit and a sign")
    assert digits.sign_ids[ord(".")]
    assert [bool(digits.joins[ord(digit)]) for digit in "123"] == [False, True, False]
    assert plain_of("cased").capitals == 0


def test_known_words_are_not_segmented_again_in_another_form() -> None:
    data, offsets = bytes_and_offsets(
        pa.array(["casa Casa, CASA. casa; árbol árbol: así así! 21 21."], pa.large_string())
    )
    padded = np.append(data, np.zeros(600, np.uint8))  # as far from the end as most of a text
    *_, segmented = encode_records(
        padded, offsets, *compiled_of(VOCABULARIES["the shipped one"]), new_table(), -1
    )
    assert segmented == 4
