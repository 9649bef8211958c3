"""A model as one GGUF file for llama.cpp, written by its own package `gguf`.

llama.cpp multiplies the decoder's output by the embedding without T5's d_model^-0.5, so the last norm carries that
factor where the output layer is scaled. Norms and position biases stay float32 in every precision.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanish_tok._version import __version__
from spanish_tok.errors import SpanishTokError
from spanish_tok.files import atomic_path
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.config import T5Config
from spanish_tok.vocab.spiece import parse_model

FILE = "model.gguf"
PRECISIONS = ("f32", "f16", "q8_0")
LAST_NORM = "decoder.final_layer_norm.weight"
# llama.cpp fixes these for every T5; it reads the number of buckets, but halves it as 32 is
BUCKETS, DISTANCE = 32, 128
CONTEXT = 512  # tokens that llama.cpp takes at once unless told otherwise; T5 itself has no bound


def write_gguf(checkpoint: Checkpoint, path: Path, precision: str = "f32") -> None:
    """Write the model and its vocabulary as one file, whole or not at all.

    precision: "f32", "f16", or "q8_0" (blocks of 32 int8 with a float16 scale; a matrix whose rows do not divide
    into blocks is f16). Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

    Raises SpanishTokError, which names the reason, for a model that llama.cpp computes otherwise.
    """
    import gguf

    check_fits(checkpoint)
    kinds = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16}
    layers = max(checkpoint.config.num_layers, checkpoint.config.num_decoder_layers)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, layers)
    with atomic_path(path) as partial:
        writer = gguf.GGUFWriter(partial, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.T5])
        _add_sizes(writer, checkpoint.config)
        writer.add_file_type(kinds.get(precision, gguf.LlamaFileType.MOSTLY_Q8_0))
        writer.add_name("spanish-tok")
        writer.add_description(f"T5, written by spanish-tok {__version__}")
        _add_vocabulary(writer, checkpoint)
        for name, tensor in checkpoint.tensors.items():
            values = tensor * _output_scale(checkpoint.config) if name == LAST_NORM else tensor
            kind = _kind_of(name, values, precision)
            data = gguf.quants.quantize(np.ascontiguousarray(values, np.float32), kind)
            writer.add_tensor(str(names.get_name(name, (".weight",))), data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def check_fits(checkpoint: Checkpoint) -> None:
    """Refuse a model that llama.cpp would compute otherwise, with the reason."""
    config, foreign = checkpoint.config, checkpoint.vocabulary.foreign
    if foreign and foreign.by_json:
        raise SpanishTokError("This model cannot become GGUF: it has no spiece.model", "Export to onnx.")
    proto = parse_model(checkpoint.vocabulary.serialized, "spiece.model")
    if any(piece.type == piece.BYTE for piece in proto.pieces):
        reason = "llama.cpp spells text with byte pieces otherwise"
    elif config.feed_forward_proj == "gated-silu":
        reason = "llama.cpp's T5 has no gated SiLU"
    elif config.biased_everywhere:
        reason = "llama.cpp's T5 has one position bias for all layers, an umT5 one each"
    elif (config.relative_attention_num_buckets, config.relative_attention_max_distance) != (
        BUCKETS,
        DISTANCE,
    ):
        reason = f"llama.cpp's T5 has {BUCKETS} buckets up to a distance of {DISTANCE}"
    elif config.num_decoder_layers > config.num_layers:
        reason = "llama.cpp loads no T5 with more decoder than encoder layers"
    else:
        return
    raise SpanishTokError(f"This model cannot become GGUF: {reason}", "Export to onnx or ctranslate2.")


def _output_scale(config: T5Config) -> np.float32:
    return np.float32(config.d_model**-0.5 if config.scaled else 1.0)


def _kind_of(name: str, values: NDArray[np.float32], precision: str) -> Any:
    from gguf import GGMLQuantizationType as Kind

    if values.ndim == 1 or "relative_attention_bias" in name or precision == "f32":
        return Kind.F32
    block = 32
    return Kind.Q8_0 if precision == "q8_0" and values.shape[1] % block == 0 else Kind.F16


def _add_sizes(writer: Any, config: T5Config) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_block_count(config.num_layers)
    writer.add_decoder_block_count(config.num_decoder_layers)
    writer.add_head_count(config.num_heads)
    writer.add_key_length(config.d_kv)
    writer.add_value_length(config.d_kv)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
    writer.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
    writer.add_decoder_start_token_id(config.decoder_start_token_id)
    writer.add_vocab_size(config.vocab_size)


def _add_vocabulary(writer: Any, checkpoint: Checkpoint) -> None:
    """Add the pieces, padded to the rows of the embedding.

    The normalization goes along as SentencePiece compiles it.
    """
    proto = parse_model(checkpoint.vocabulary.serialized, "spiece.model")
    rows, config = len(proto.pieces), checkpoint.config
    unused = range(rows, config.vocab_size)
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(
        [piece.piece.encode() for piece in proto.pieces] + [f"[PAD{i}]".encode() for i in unused]
    )
    writer.add_token_scores([piece.score for piece in proto.pieces] + [-10000.0 for _ in unused])
    # the numbers of llama.cpp's kinds are SentencePiece's: 1 normal, 2 unknown, 3 control, 5 unused, 6 byte
    writer.add_token_types([piece.type for piece in proto.pieces] + [5 for _ in unused])
    writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    writer.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
    writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_pad_token_id(config.pad_token_id)
    writer.add_unk_token_id(next(i for i, piece in enumerate(proto.pieces) if piece.type == piece.UNKNOWN))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
