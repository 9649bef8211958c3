"""Small models of every kind, made by transformers, with vocabularies in the layout of that kind."""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto

from spanish_tok.files import shipped

SIZES: dict[str, Any] = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_heads": 3,
    "num_layers": 3,
    "num_decoder_layers": 2,
}
# kind -> (class of transformers, entries of its config, whether the head is one of its own)
KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "t5": ("T5", {"feed_forward_proj": "relu"}, False),
    "t5-1.1": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, True),
    "t5-silu": ("T5", {"feed_forward_proj": "gated-silu"}, False),
    "t5-unscaled": ("T5", {"feed_forward_proj": "relu", "tie_word_embeddings": False}, False),
    "t5-scaled-untied": ("T5", {"feed_forward_proj": "gated-gelu"}, True),
    "mt5": ("MT5", {}, True),
    "mt5-tied": ("MT5", {}, False),
    "umt5": ("UMT5", {}, False),
    "umt5-untied": ("UMT5", {}, True),
}
PIECES = 700
SENTINELS = 100


def many_texts(count: int, sources: int = 15) -> list[str]:
    """So many texts of 3 to 20 words of some sentences that ship, some in capitals, with numbers and signs."""
    sentences = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()[:sources]
    words = sorted({word for sentence in sentences for word in sentence.split()})
    random = Random(0)
    forms = (str, str, str.upper, str.title, "«{}»".format, "{},".format, "{} 3,5 %".format)
    return [
        " ".join(random.choice(forms)(random.choice(words)) for _ in range(random.randint(3, 20)))
        for _ in range(count)
    ]


def spiece(kind: str, pieces: int = PIECES) -> bytes:
    """A spiece.model in the layout of a kind: T5's without sentinels, mT5's with, umT5's with bytes alone."""
    model = io.BytesIO()
    sentences = shipped("corpus/sentences-es.txt").read_text(encoding="utf-8").splitlines()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=pieces, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", byte_fallback=not kind.startswith("t5"),
        minloglevel=2, num_threads=1, hard_vocab_limit=False,
    )  # fmt: skip
    parsed = proto.ModelProto.FromString(model.getvalue())
    if kind.startswith("mt5"):
        for k in reversed(range(SENTINELS)):
            parsed.pieces.add(
                piece=f"▁<extra_id_{k}>", score=0.0, type=proto.ModelProto.SentencePiece.USER_DEFINED
            )
    return bytes(parsed.SerializeToString())


def tokenizer_config(kind: str) -> dict[str, Any]:
    """The tokenizer_config.json of a kind."""
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    if kind.startswith("umt5"):
        return {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, **names}
    return {
        "tokenizer_class": "T5Tokenizer",
        "extra_ids": 0 if kind.startswith("mt5") else SENTINELS,
        **names,
    }


def save_tokenizer(kind: str, folder: Path, form: str = "both") -> int:
    """Write the tokenizer's files: "spiece", "json" or "both"; return the number of ids."""
    from transformers import AutoTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(spiece(kind))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(kind)))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if form != "spiece":
        tokenizer.save_pretrained(folder)
    if form == "json":
        (folder / "spiece.model").unlink(missing_ok=True)
    elif not (folder / "spiece.model").exists():
        (folder / "spiece.model").write_bytes(spiece(kind))
    return len(tokenizer)


def make(kind: str, folder: Path, form: str = "both", **changes: Any) -> Any:
    """Write the folder of a small model with random weights; return the model of transformers."""
    import torch
    import transformers

    name, entries, own_head = KINDS[kind]
    ids = save_tokenizer(kind, folder, form)
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=-(-ids // 8) * 8 + 8, decoder_start_token_id=0, **SIZES | entries | changes
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) * 0.3)
    model.save_pretrained(folder)
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


def mt5_of_rows(folder: Path, pieces: int, rows: int, words: list[str], **sizes: Any) -> None:
    """Write an mT5 of so many rows: its spiece.model in mT5's layout from words and made-up pieces, random weights.

    Rows are written part by part: no model of transformers is made.
    """
    import numpy as np

    from spanish_tok import T5Config, Vocabulary
    from spanish_tok.t5.safetensors import write_stored

    folder.mkdir(parents=True, exist_ok=True)
    model = proto.ModelProto.FromString(spiece("umt5"))
    ours = Vocabulary.load()
    known = {piece.piece for piece in model.pieces}
    scored = [*zip(ours.pieces[3:4900], ours.scores[3:4900], strict=True)]
    scored += [("▁" + word, -9.0 - n / 20_000) for n, word in enumerate(words)]
    scored += [(f"ж{n}", -20.0) for n in range(pieces)]
    for piece, score in scored:
        if len(model.pieces) < pieces - SENTINELS and piece not in known:
            known.add(piece)
            model.pieces.add(piece=piece, score=score)
    for k in reversed(range(SENTINELS)):
        model.pieces.add(
            piece=f"▁<extra_id_{k}>", score=0.0, type=proto.ModelProto.SentencePiece.USER_DEFINED
        )
    (folder / "spiece.model").write_bytes(model.SerializeToString())
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config("mt5")))
    values = {
        "model_type": "mt5", "vocab_size": rows, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
        "transformers_version": "4.31.0", "architectures": ["MT5ForConditionalGeneration"], **sizes,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values))
    random = np.random.default_rng(0)

    def parts(name: str, shape: tuple[int, ...]) -> Any:
        for first in range(0, shape[0], 20_000):
            part = (min(20_000, shape[0] - first), *shape[1:])
            if "norm" in name:
                yield np.ones(part, np.float32)
            else:
                yield random.standard_normal(part, dtype=np.float32) * np.float32(0.05)

    shapes = T5Config.from_dict(values).shapes()
    write_stored(
        folder / "model.safetensors",
        [(name, "F32", shape, parts(name, shape)) for name, shape in shapes.items()],
    )
