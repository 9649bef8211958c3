"""Texts that several engines are compared on: spelled oddly, and with gaps."""

WORDS = [
    "la",
    "casa",
    "el",
    "perro",
    "una",
    "ciudad",
    "grande",
    "del",
    "norte",
    "tiene",
    "un",
    "río",
    "y",
    "calles",
]
TEXTS = [
    "¡Qué MAÑANA más larga!", "año 2024: 21½ %", "El niño comió  piña\ty salió.", "</s> <extra_id_0>", "ﬁn — «así»",
]  # fmt: skip


def prompts(count: int) -> list[str]:
    """Texts with one gap each, cut from a ring of words."""
    rows = []
    for n in range(count):
        words = [WORDS[(n * 5 + k) % len(WORDS)] for k in range(4 + n % 9)]
        words[n % len(words)] = "<extra_id_0>"
        rows.append(" ".join(words) + " .")
    return rows
