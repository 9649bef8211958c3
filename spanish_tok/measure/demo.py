"""The main job on the embedded default: counts -> vocabulary -> three libraries -> round trips, offline."""

from pathlib import Path
from typing import TextIO

from spanish_tok.errors import SpanishTokError
from spanish_tok.files import shipped
from spanish_tok.generation.generator import Generator
from spanish_tok.generation.sampling import GenerateOptions
from spanish_tok.measure.verify import AWKWARD, sample_sentences, verify
from spanish_tok.progress import progress
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.tokenization.tokenizer import Tokenizer
from spanish_tok.vocab.counts import Counts
from spanish_tok.vocab.formats import UNK
from spanish_tok.vocab.trainer import train_vocabulary

SHOWN = ("¡Qué mañana tan FRÍA!", "El 21½ % de la cigüeña… hola😀mundo", "Man\u0303ana: N\u0303ANDU\u0301")

GAPS = (
    "El ministro de <extra_id_0> firmó el <extra_id_1> .",
    "Abrió la puerta <extra_id_0> y salió a la <extra_id_1> .",
    "Haga clic en el <extra_id_0> para guardar el <extra_id_1> .",
    "La función devuelve una lista de los archivos que <extra_id_0> encuentran <extra_id_1> directorio indicado .",
)
BEAMS = GenerateOptions(num_beams=4, max_new_tokens=24)  # greedy search likes to repeat itself


def run(output: Path, out: TextIO) -> None:
    """Train into the folder `output`, check it, and print examples and a short table."""

    def say(text: str = "") -> None:
        print(text, file=out, flush=True)

    counts = Counts.load(shipped("corpus/es-counts.parquet"))
    say(f"{len(counts):,} distinct runs, {counts.total:,} in all, of {counts.records:,} Spanish records")
    with progress("training", total=1, unit="share") as bar:
        train_vocabulary(counts, size=5000, progress=bar).save(output)
    tokenizer = Tokenizer.load(output)
    say(f"a vocabulary of {tokenizer.vocab_size:,} ids: {output}\n")
    for text in SHOWN:
        ids = tokenizer.encode(text)
        say(f"  {text}\n  {' '.join(tokenizer.tokens(text))}\n  {ids}\n  {tokenizer.decode(ids)}\n")
    checks = verify(output)
    for check in checks:
        say(f"  {check}")
    say()
    for name, value in summary(tokenizer):
        say(f"  {name:<24}{value:>12}")
    say(
        "\n  the shipped model fills gaps (seven million parameters: it knows the language's habits, not the world)"
    )
    generator = Generator.load()
    for text in GAPS:
        say(f"  {text}\n  {generator.fill(text, BEAMS)}")
    if any(check.failed for check in checks):
        raise SpanishTokError("A check failed", "Please report it with the lines above.")


def summary(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Size, alphabet, and what the shipped sentences say: name and value, ready to print."""
    sentences = sample_sentences()
    texts = [*sentences, *AWKWARD]
    encoded = [tokenizer.encode(text) for text in texts]
    normal = [tokenizer.normalize(text) for text in sentences]
    tokens = sum(map(len, encoded[: len(sentences)]))
    words = sum(len(text.split()) for text in normal)
    failures = sum(
        tokenizer.decode(ids) != tokenizer.normalize(text) for ids, text in zip(encoded, texts, strict=True)
    )
    return [
        ("size", f"{tokenizer.vocab_size:,}"),
        ("alphabet", f"{len(SPANISH)}"),
        ("characters per token", f"{sum(map(len, normal)) / tokens:.3f}"),
        ("tokens per word", f"{tokens / words:.3f}"),
        ("<unk>", f"{sum(ids.count(UNK) for ids in encoded)}"),
        ("round-trip failures", f"{failures}"),
    ]
