"""The sizes of the published T5 family.

Tay et al. 2021, "Scale Efficiently", table 2.
"""

_FIELDS = ("num_layers", "num_decoder_layers", "d_ff", "d_model", "d_kv", "num_heads", "vocab_size")
_SIZES = {
    "spanish-tiny": (4, 3, 512, 320, 64, 4, 5000),
    "tiny": (4, 4, 1024, 256, 64, 4, 32128),
    "mini": (4, 4, 1536, 384, 64, 8, 32128),
    "small": (6, 6, 2048, 512, 64, 8, 32128),
    "base": (12, 12, 3072, 768, 64, 12, 32128),
    "large": (24, 24, 4096, 1024, 64, 16, 32128),
    "xl": (24, 24, 16384, 1024, 128, 32, 32128),
    "xxl": (24, 24, 65536, 1024, 128, 128, 32128),
}
PRESETS = {
    name: dict(zip(_FIELDS, sizes, strict=True)) for name, sizes in _SIZES.items()
}  # fields of T5Config
