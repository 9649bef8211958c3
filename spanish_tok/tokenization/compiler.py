"""A vocabulary as the kernels want it.

Its normalization is packed, its pieces are in one automaton.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np

from spanish_tok.errors import SpanishTokError
from spanish_tok.kernels.text.known_chunks import Plain
from spanish_tok.kernels.text.normalize import PackedTable
from spanish_tok.kernels.text.trie import Automaton, grow_trie, link_states
from spanish_tok.text.alphabet import CODE_POINTS, FIRST_MARK, LAST_MARK, SPACE_MARK, SURROGATES
from spanish_tok.text.charsmap import spanish_charsmap
from spanish_tok.text.packed_table import LONGEST_TARGET, MOST_TARGETS, pack, packed_spanish
from spanish_tok.text.table import NormalizationTable, spanish_table
from spanish_tok.vocab.spiece import kinds_are_ours, parse_model
from spanish_tok.vocab.vocabulary import RESOLUTION, Vocabulary

SMALL = 1 << 16  # states that a uint16 can number
LARGEST_ALPHABET = 1000
LARGEST_SCORE = 1 << 20  # so that a score times RESOLUTION fits 31 bits
MOST_KEPT = 16  # vocabularies; one has some megabytes


class CompiledVocabulary(NamedTuple):
    """What encode_records needs."""

    table: PackedTable
    automaton: Automaton
    plain: Plain


_kept: dict[
    bytes, CompiledVocabulary | None
] = {}  # by the model's bytes: tokenizers of one vocabulary share it


def compile_vocabulary(vocabulary: Vocabulary) -> CompiledVocabulary | None:
    """Return the vocabulary packed for the kernels.

    None if they could differ from sentencepiece.

    They take one that is `exact`, has SentencePiece's usual options and kinds of pieces, a normalization
    by single characters and pairs of a letter and its mark, and every character that this can produce as a
    piece, so that nothing is unknown.
    """
    if vocabulary.foreign or not vocabulary.exact:
        return None
    if vocabulary.serialized in (kept := dict(_kept)):  # a copy: another thread may clear it
        return kept[vocabulary.serialized]
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    compiled = _kept[vocabulary.serialized] = _compile(vocabulary)
    return compiled


def _compile(vocabulary: Vocabulary) -> CompiledVocabulary | None:
    """Return an exact vocabulary packed, None if it is unusual."""
    if not _is_usual(vocabulary):
        return None
    table = packed_table(vocabulary.charsmap)
    pieces = set(vocabulary.pieces)
    if table is None or any(char.replace(" ", SPACE_MARK) not in pieces for char in _characters(table)):
        return None
    return CompiledVocabulary(table, automaton_of(vocabulary), plain_forms(vocabulary, table))


def _is_usual(vocabulary: Vocabulary) -> bool:
    """Return whether a model has the options and kinds of pieces that ours have."""
    model = parse_model(vocabulary.serialized, "The model")
    options = model.normalizer_spec
    if not (options.add_dummy_prefix and options.remove_extra_whitespaces and options.escape_whitespaces):
        return False
    if model.trainer_spec.treat_whitespace_as_suffix or model.denormalizer_spec.precompiled_charsmap:
        return False
    small = all(abs(piece.score) < LARGEST_SCORE for piece in model.pieces)
    return small and kinds_are_ours(model, vocabulary.special_ids)


@cache
def packed_table(charsmap: bytes) -> PackedTable | None:
    """Return the packed table of a charsmap.

    None if it has rules that a table cannot hold.
    """
    if charsmap == spanish_charsmap():
        return packed_spanish()
    table = table_of(charsmap)
    return pack(table) if table else None


@cache
def table_of(charsmap: bytes) -> NormalizationTable | None:
    """Return the normalization table that a charsmap holds.

    None if it has rules that a table cannot hold.
    """
    if charsmap == spanish_charsmap():
        return spanish_table()
    return _table_of(_rules_of(charsmap)) if charsmap else None


def _rules_of(charsmap: bytes) -> Iterable[tuple[str, str]]:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto

    spec = proto.NormalizerSpec(name="user_defined", precompiled_charsmap=charsmap)
    try:
        rules: list[tuple[str, str]] = sentencepiece.SentencePieceNormalizer(normalizer_spec=spec).decompile()
    except RuntimeError as error:
        raise SpanishTokError(
            f"The model holds a damaged normalization table ({error})", "Get it again, or train one."
        ) from None
    return rules


def _table_of(rules: Iterable[tuple[str, str]]) -> NormalizationTable | None:
    """Return rules as a table.

    None if a rule has a form that it cannot hold, or the alphabet is not closed.

    A charsmap leaves characters without a rule as they are.
    """
    expansions = {chr(code): chr(code) for code in range(CODE_POINTS) if code not in SURROGATES}
    pairs = {}
    for source, target in rules:
        if len(source) == 1:
            expansions[source] = target
        elif (
            len(source) == 2 and source[0].isascii() and FIRST_MARK <= ord(source[1]) <= LAST_MARK and target
        ):
            pairs[source] = target
        else:
            return None
    expansions["\0"] = expansions["\1"]  # NUL can be in no rule; Tokenizer gives it as U+0001
    alphabet = "".join(
        sorted({char for target in [*expansions.values(), *pairs.values()] for char in target})
    )
    targets = {*expansions.values(), *pairs.values()}
    if (
        expansions[" "] != " "
        or len(alphabet) > LARGEST_ALPHABET
        or alphabet[-1:] > "\uffff"
        or any("  " in target or len(target.encode()) > LONGEST_TARGET for target in targets)
        or sum(len(target.encode()) for target in targets) >= MOST_TARGETS
        or any(
            len(expansions[pair[0]].strip().encode()) != 1 for pair in pairs
        )  # a pair takes its letter's place
    ):
        return None
    kept = {char: target for char, target in expansions.items() if target}
    return NormalizationTable(alphabet, kept, pairs, origin="a charsmap")


def _characters(table: PackedTable) -> set[str]:
    return set(table.targets.tobytes().decode()) - {"\0"} | {" "}


def automaton_of(vocabulary: Vocabulary) -> Automaton:
    """Return the automaton of a vocabulary's ordinary pieces.

    Scores are whole multiples of the resolution.
    """
    ordinary = [token_id for token_id in range(len(vocabulary)) if token_id not in vocabulary.special_ids]
    encoded = [vocabulary.pieces[token_id].replace(SPACE_MARK, " ").encode() for token_id in ordinary]
    data = np.frombuffer(b"".join(encoded), np.uint8)
    lengths = np.array([len(piece) for piece in encoded], np.int64)
    scores = np.array([round(vocabulary.scores[token_id] * RESOLUTION) for token_id in ordinary], np.int64)
    class_of = np.zeros(256, np.uint8)
    used = np.unique(data)
    class_of[used] = np.arange(1, len(used) + 1)
    children, state_of = grow_trie(data, np.concatenate([[0], np.cumsum(lengths)]), class_of, len(used) + 1)
    piece_in = np.full(len(children), -1, np.int64)
    piece_in[state_of] = scores << 32 | lengths << 16 | np.array(ordinary)
    first, pieces = link_states(children, piece_in)
    return Automaton(
        class_of, children.astype(np.uint16 if len(children) <= SMALL else np.uint32), first, pieces
    )


def plain_forms(vocabulary: Vocabulary, table: PackedTable) -> Plain:
    """Return what leaves the ids of a chunk as they are.

    Small letters for capitals, where both become the same, also before a mark; and the sign at the end cut off, where
    no piece has it behind the letter or digit that it follows: then the best way to the sign is that to all before it.
    """
    letters = range(ord("a"), ord("z") + 1)
    alike = all(
        _expansion(table, code) == _expansion(table, code - 32)
        and [_target(table, pair) for pair in table.pairs[code << 6 : code + 1 << 6]]
        == [_target(table, pair) for pair in table.pairs[code - 32 << 6 : code - 31 << 6]]
        for code in letters
    )
    joined = {piece[k : k + 2] for piece in vocabulary.pieces for k in range(len(piece) - 1)}
    places = {code: code for code in range(128)} | {0xC0 + k: 128 + k for k in range(64)}
    becomes = {code: text for code in places if len(text := _expansion(table, code)) == 1 and text != " "}
    stems = {code for code, text in becomes.items() if text.isalnum()}
    signs = {code for code in set(becomes) - stems if code < 128}
    digits = {code for code in stems if not becomes[code].isalpha()}
    signs = {code for code in signs if not _joins(stems - digits, code, becomes, joined)}
    stems -= {code for code in digits if any(_joins({code}, sign, becomes, joined) for sign in signs)}
    id_of = {piece: number for number, piece in enumerate(vocabulary.pieces)}
    sign_ids, joins = np.zeros(128, np.uint16), np.zeros(192, np.bool_)
    for code in signs:
        sign_ids[code] = id_of[becomes[code]]
    joins[[places[code] for code in stems]] = True
    return Plain(np.uint64(0x2020202020202020 if alike else 0), sign_ids, joins)


def _joins(codes: set[int], sign: int, becomes: dict[int, str], joined: set[str]) -> bool:
    """Return whether a piece has the sign behind what one of the characters becomes."""
    return any(becomes[code] + becomes[sign] in joined for code in codes)


def _expansion(table: PackedTable, code: int) -> str:
    """Return what a character becomes."""
    return _target(table, table.pages[table.page_of[code >> 8], code & 255])


def _target(table: PackedTable, entry: int) -> str:
    begin, length = int(entry) >> 8, int(entry) & 255
    return table.targets[begin : begin + length].tobytes().decode()
