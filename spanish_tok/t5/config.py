"""The shape of a T5 model, in the words of transformers' config.json.

Raffel et al. 2020 (T5 1.0). No torch here.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import read_json, write_json
from spanish_tok.t5.foreign.kinds import KINDS, check_kind
from spanish_tok.t5.presets import PRESETS
from spanish_tok.vocab.foreign import refuse_keras

# feed_forward_proj -> names of its activation; transformers writes one of them as dense_act_fn, which it obeys
ACTIVATIONS = {
    "relu": ("relu",),
    "gated-gelu": ("gelu_new", "gelu_pytorch_tanh"),
    "gated-silu": ("silu", "swish"),
}
FEED_FORWARDS = tuple(ACTIVATIONS)
# what transformers and CTranslate2 want to read beside our fields
FIXED = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "is_encoder_decoder": True,
    "use_cache": True,
    "initializer_factor": 1.0,
}
MOST_SIZE, MOST_LAYERS = 1 << 24, 1000  # far above any model; a damaged config.json may say anything


@dataclass(frozen=True)
class T5Config:
    """Sizes and options of a T5 model.

    The defaults are T5's own, the sizes those of `spanish_tiny`.

    `feed_forward_proj` is "relu" (T5 1.0), "gated-gelu" (T5 1.1) or "gated-silu". With `tie_word_embeddings` the
    output layer is the embedding, and its input is scaled by d_model^-0.5; without, there is a matrix `lm_head`,
    unscaled. Where that is not so, `scale_decoder_outputs` tells. A "umt5" has a position bias in every layer.
    `others` are entries of a config.json that nothing here needs; they are written again.

    >>> T5Config.spanish_tiny().parameters
    7176896
    """

    vocab_size: int = 5000
    d_model: int = 320
    d_kv: int = 64
    d_ff: int = 512
    num_layers: int = 4
    num_decoder_layers: int = 3
    num_heads: int = 4
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    tie_word_embeddings: bool = True
    pad_token_id: int = 0
    eos_token_id: int = 1
    decoder_start_token_id: int = 0
    model_type: str = "t5"
    scale_decoder_outputs: bool | None = None  # None: as tie_word_embeddings
    others: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            most = MOST_LAYERS if name.endswith("layers") else MOST_SIZE
            if type(value) is not int or not 1 <= value <= most:
                raise SpanishTokError(f"{name} is {value!r}", f"Give a whole number from 1 to {most:,}.")
        for name in ("dropout_rate", "layer_norm_epsilon"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value < 1:
                raise SpanishTokError(f"{name} is {value!r}", "Give a number from 0 to below 1.")
        if self.feed_forward_proj not in FEED_FORWARDS:
            raise SpanishTokError(
                f"feed_forward_proj is {self.feed_forward_proj!r}", f"Give one of {', '.join(FEED_FORWARDS)}."
            )
        if self.relative_attention_num_buckets % 4 or (
            self.relative_attention_max_distance <= self.relative_attention_num_buckets // 2
        ):
            raise SpanishTokError(
                f"{self.relative_attention_num_buckets} buckets do not fit a maximum distance of "
                f"{self.relative_attention_max_distance}",
                "Give a multiple of 4, and a distance of more than half of it.",
            )
        for name, kinds in (("tie_word_embeddings", (bool,)), ("scale_decoder_outputs", (bool, type(None)))):
            if type(getattr(self, name)) not in kinds:
                raise SpanishTokError(f"{name} is {getattr(self, name)!r}", "Give true or false.")
        for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < self.vocab_size:
                raise SpanishTokError(f"{name} is {value!r}", f"Give one id from 0 to {self.vocab_size - 1}.")

    @property
    def inner(self) -> int:
        """The width of all heads together: num_heads x d_kv."""
        return self.num_heads * self.d_kv

    @property
    def gated(self) -> bool:
        return self.feed_forward_proj.startswith("gated")

    @property
    def scaled(self) -> bool:
        """Whether the input of the output layer is scaled by d_model^-0.5."""
        return self.tie_word_embeddings if self.scale_decoder_outputs is None else self.scale_decoder_outputs

    @property
    def biased_everywhere(self) -> bool:
        """Whether every layer has a position bias of its own, not the first alone."""
        return self.model_type == "umt5"

    def with_head(self, tied: bool) -> "T5Config":
        """Return the same with an output layer that is the embedding, or one of its own.

        >>> T5Config().with_head(tied=False).scale_decoder_outputs
        True
        """
        scaled = None if self.scaled == tied else self.scaled
        return replace(self, tie_word_embeddings=tied, scale_decoder_outputs=scaled)

    @property
    def parameters(self) -> int:
        """How many numbers the model holds; the shared embedding counts once."""
        return sum(rows * columns for rows, columns in map(_two, self.shapes().values()))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the tensors of a checkpoint: transformers' name -> shape.

        The shared embedding occurs once.

        >>> T5Config.spanish_tiny().shapes()["decoder.block.0.layer.1.EncDecAttention.q.weight"]
        (256, 320)
        """
        shapes: dict[str, tuple[int, ...]] = {"shared.weight": (self.vocab_size, self.d_model)}
        if not self.tie_word_embeddings:
            shapes["lm_head.weight"] = (self.vocab_size, self.d_model)
        for stack, layers in (("encoder", self.num_layers), ("decoder", self.num_decoder_layers)):
            attentions = ["SelfAttention"] if stack == "encoder" else ["SelfAttention", "EncDecAttention"]
            for block in range(layers if self.biased_everywhere else 1):
                shapes[f"{stack}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"] = (
                    self.relative_attention_num_buckets,
                    self.num_heads,
                )
            for block in range(layers):
                for index, attention in enumerate(attentions):
                    layer = f"{stack}.block.{block}.layer.{index}"
                    shapes[f"{layer}.layer_norm.weight"] = (self.d_model,)
                    for matrix in "qkv":
                        shapes[f"{layer}.{attention}.{matrix}.weight"] = (self.inner, self.d_model)
                    shapes[f"{layer}.{attention}.o.weight"] = (self.d_model, self.inner)
                layer = f"{stack}.block.{block}.layer.{len(attentions)}"
                shapes[f"{layer}.layer_norm.weight"] = (self.d_model,)
                for matrix in ("wi_0", "wi_1") if self.gated else ("wi",):
                    shapes[f"{layer}.DenseReluDense.{matrix}.weight"] = (self.d_ff, self.d_model)
                shapes[f"{layer}.DenseReluDense.wo.weight"] = (self.d_model, self.d_ff)
            shapes[f"{stack}.final_layer_norm.weight"] = (self.d_model,)
        return shapes

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a config.json that transformers reads too."""
        own = asdict(self)
        others = own.pop("others")
        if self.scale_decoder_outputs is None:
            del own["scale_decoder_outputs"]
        return {**FIXED, "architectures": [KINDS[self.model_type]], **others, **own}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write config.json, atomically."""
        write_json(path, self.to_dict())

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "T5Config":
        """Return a configuration from a config.json's content, ours or transformers'.

        Entries of every age are read: numbers as text, lists of `</s>`, None for a default. Whether outputs are scaled
        is what the config means to the version of transformers that wrote it (see `_scales`).
        """
        check_kind(values)
        kind = values.get("model_type", "t5")
        own = {f.name: f for f in fields(cls) if f.name not in ("others", "scale_decoder_outputs")}
        entries = {
            name: _plain(name, values[name], f.default)
            for name, f in own.items()
            if values.get(name) is not None
        }
        missing = [
            name
            for name in ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
            if name not in entries
        ]
        if missing:
            raise SpanishTokError(f"The configuration lacks {', '.join(missing)}", "Give a T5's config.json.")
        entries.setdefault("num_decoder_layers", entries["num_layers"])
        form = entries.setdefault("feed_forward_proj", "relu" if kind == "t5" else "gated-gelu")
        _check_activation(form, values.get("dense_act_fn"))
        scaled = _scales(kind, values)
        tied = entries.setdefault("tie_word_embeddings", kind != "mt5") and (scaled or kind != "t5")
        left_out = {*own, "scale_decoder_outputs", *FIXED, "dtype", "torch_dtype"}
        others = with_plain_numbers({name: v for name, v in values.items() if name not in left_out})
        entries |= {"tie_word_embeddings": tied, "scale_decoder_outputs": None if scaled == tied else scaled}
        return cls(**entries, others=others)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "T5Config":
        """Read config.json.

        Raises SpanishTokError that names the file if it is not a T5's.
        """
        refuse_keras(Path(path).parent)
        values = read_json(path)
        try:
            if not isinstance(values, dict):
                raise SpanishTokError("It is not a JSON object", "Give a T5's config.json.")
            return cls.from_dict(values)
        except SpanishTokError as error:
            raise SpanishTokError(f"{Path(path)}: {error.problem}", error.advice) from None

    @classmethod
    def preset(cls, name: str, **options: Any) -> "T5Config":
        """Return a member of the family by its name (`PRESETS`).

        Other fields as given.

        >>> T5Config.preset("tiny", vocab_size=8000).d_model
        256
        """
        if name not in PRESETS:
            raise SpanishTokError(f"There is no preset {name!r}", f"Choose from {', '.join(PRESETS)}.")
        return cls(**{**PRESETS[name], **options})

    @classmethod
    def spanish_tiny(cls, **options: Any) -> "T5Config":
        """T5-Spanish-Efficient-TINY: 7,176,896 parameters with 5,000 ids."""
        return cls.preset("spanish-tiny", **options)


def _check_activation(form: Any, stated: Any) -> None:
    """Raise SpanishTokError for another activation than the feed-forward has here.

    transformers obeys dense_act_fn, whatever feed_forward_proj says.
    """
    known = ACTIVATIONS.get(str(form), ())
    if stated is not None and known and stated not in known:
        raise SpanishTokError(
            f"dense_act_fn is {stated!r}, and feed_forward_proj {form!r}",
            f"Only {known[0]} is computed for it.",
        )


def _scales(kind: str, values: Mapping[str, Any]) -> bool:
    """Return whether a config.json means outputs to be scaled.

    All versions scale a T5's unless `tie_word_embeddings` is false. transformers 4 did so with mT5 and umT5, too;
    from version 5 on mT5's are never scaled and umT5's always. A config of 5 says `scale_decoder_outputs` for a T5.
    """
    stated, tied = values.get("scale_decoder_outputs"), values.get("tie_word_embeddings")
    if isinstance(stated, bool):
        return stated
    old = str(values.get("transformers_version", "5")).partition(".")[0] in ("2", "3", "4")
    if kind == "mt5":
        return old and tied is True
    return tied is not False or (kind == "umt5" and not old)


def _plain(name: str, value: Any, default: Any) -> Any:
    """Return an entry as the type of its default where another type plainly means one.

    >>> _plain("d_model", "512", 320), _plain("eos_token_id", [1, 106], 1), _plain("num_heads", 6.0, 4)
    (512, 1, 6)
    """
    if name.endswith("_token_id") and isinstance(value, list) and value:
        value = value[0]
    if isinstance(default, bool) and not isinstance(value, bool):
        raise SpanishTokError(f"{name} is {value!r}", "Give true or false.")
    if not isinstance(default, int | float) or isinstance(value, bool):
        return value
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        return value
    return int(parsed) if isinstance(default, int) and parsed.is_integer() else parsed


def with_plain_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json's content with numbers where it gives them as text.

    transformers 5 reads no text there.

    >>> with_plain_numbers({"d_model": "512", "eos_token_id": [1, 106], "initializer_factor": "1.0", "my": "7"})
    {'d_model': 512, 'eos_token_id': [1, 106], 'initializer_factor': 1.0, 'my': '7'}
    """
    theirs = {"initializer_factor": 1.0, "classifier_dropout": 0.0, "n_positions": 512}
    defaults = {f.name: f.default for f in fields(T5Config)} | theirs
    return {
        name: _plain(name, value, defaults[name])
        if name in defaults and not isinstance(value, list)
        else value
        for name, value in values.items()
    }


_SIZES = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads",
    "relative_attention_num_buckets", "relative_attention_max_distance",
)  # fmt: skip


def _two(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1] if len(shape) == 2 else 1
