"""The charsmap: a normalization table as spiece.model holds it, compiled."""

from functools import cache
from pathlib import Path

from spanish_tok.text.table import NormalizationTable


@cache
def spanish_charsmap() -> bytes:
    """Return the charsmap of the shipped table.

    It is a shipped file, since compiling takes about a second. It has about 350 kB.
    """
    return Path(__file__).with_name("alphabet.charsmap").read_bytes()


def compile_charsmap(table: NormalizationTable) -> bytes:
    """Compile a table for SentencePiece: a double-array trie, then the expansions.

    The same table gives the same bytes: `compile_charsmap(spanish_table()) == spanish_charsmap()`.
    """
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto

    sentencepiece.set_min_log_level(2)  # its builder reports on standard error
    spec = sentencepiece.SentencePieceNormalizer(norm_map=list(table.rules())).serialized_normalizer_spec()
    return bytes(proto.NormalizerSpec.FromString(spec).precompiled_charsmap)
