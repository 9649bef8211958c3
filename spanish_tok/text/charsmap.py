"""SentencePiece's precompiled form of a normalization table, which every spiece.model carries."""

from functools import cache
from pathlib import Path

from spanish_tok.text.table import NormalizationTable


@cache
def spanish_charsmap() -> bytes:
    """The charsmap of the shipped table, compiled once and shipped too: compiling takes a second."""
    return Path(__file__).with_name("alphabet.charsmap").read_bytes()


def compile_charsmap(table: NormalizationTable) -> bytes:
    """SentencePiece's precompiled form of a table: a double-array trie and the expansions."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto

    sentencepiece.set_min_log_level(2)  # its builder reports on standard error
    spec = sentencepiece.SentencePieceNormalizer(norm_map=list(table.rules())).serialized_normalizer_spec()
    return bytes(proto.NormalizerSpec.FromString(spec).precompiled_charsmap)
