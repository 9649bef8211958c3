"""The five vocabularies of `vocabularies.py`, and the text that they are trained and measured on."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from vocabularies_summary import FIRST, SECOND, UNIGRAM
from vocabulary_sizes import SENTINELS, train_bpe

from spanish_tok import Counts, merge, normalize_column, train
from spanish_tok.files import atomic_path
from spanish_tok.measure.figures.texts import sampled, size_of
from spanish_tok.text.alphabet import SPANISH
from spanish_tok.vocab.counts.runs import count_runs

IDS = 5000
HELD_OUT = 3  # of a hundred
OLDER, MODERN = "older", "passages of 2000 to 2026"
CORPORA = {OLDER: "corpus", MODERN: "corpus-modern"}
SPOKEN, WRITTEN = "of these, press conferences", "of these, help and manuals"  # their tokens alone
TASKS = {
    "encyclopedia": ("qa-es", "context"),
    "news": ("news-classification-es", "text"),
    "law": ("summaries-law-es", "text"),
    "help": ("summaries-packages-es", "text"),
}
Texts = dict[str, pa.ChunkedArray]


def is_held_out(column: pa.ChunkedArray) -> pa.Array:
    """Return which records are held out, by a hash of their text alone."""
    hashes = (blake2b(text.encode(), digest_size=4).digest() for text in column.to_pylist())
    return pa.array([int.from_bytes(hashed, "little") % 100 < HELD_OUT for hashed in hashes])


def read(folder: Path, limit: int) -> tuple[Texts, Texts]:
    """Return the normalized texts to train on, and those held out, by name."""
    training, held_out = Texts(), Texts()
    for name, corpus in CORPORA.items():
        files = sorted((folder / corpus).glob("*.parquet"))
        table = pa.concat_tables([pq.read_table(file, columns=["text", "source"]) for file in files])
        table = table.slice(0, limit or len(table))
        chosen = is_held_out(table["text"])
        training[name] = normalize_column(table["text"].filter(pc.invert(chosen)))
        held_out[name] = normalize_column(table["text"].filter(chosen))
        if name == MODERN:
            spoken = pc.equal(table["source"].filter(chosen), "mananeras")
            held_out[SPOKEN] = held_out[name].filter(spoken)
            held_out[WRITTEN] = held_out[name].filter(pc.invert(spoken))
    for name, (task, column) in TASKS.items():
        texts = pq.read_table(folder / "tasks" / f"{task}.parquet", columns=[column])[column]
        held_out[name] = normalize_column(pa.chunked_array([pc.unique(texts)]))
    return training, held_out


def train_ours(training: Mapping[str, pa.ChunkedArray], words: Path, second: bool, folder: Path) -> None:
    """Train version 1 or version 2 of the released vocabulary, without what is held out."""
    older, modern = (count_runs(training[name]) for name in CORPORA)
    counts = merge([older, modern, Counts.from_words(words)], [0.5, 1, 1]) if second else older
    train(counts, folder, size=IDS)


def train_sentencepiece(text: Path, kind: str, model: Path, threads: int) -> None:
    """Train sentencepiece on normalized text, a record a line, with its default rules."""
    import sentencepiece

    with atomic_path(model) as partial_file:
        prefix = str(partial_file).removesuffix(".partial")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=prefix, model_type=kind, vocab_size=IDS - SENTINELS,
            normalization_rule_name="identity", character_coverage=1.0, required_chars=SPANISH.strip(),
            max_sentence_length=1 << 24, num_threads=threads,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
        )  # fmt: skip
        Path(f"{prefix}.vocab").unlink()
        Path(f"{prefix}.model").replace(partial_file)


def lines_of(training: Mapping[str, pa.ChunkedArray], megabytes: float) -> Iterator[list[str]]:
    """Yield the texts that sentencepiece and tokenizers are trained on, some at a time."""
    whole = sum(map(size_of, training.values()))
    share = min(1.0, megabytes * 1e6 / whole) if megabytes else 1.0
    for column in training.values():
        for batch in sampled(column, max(1, int(size_of(column) * share))).chunks:
            yield batch.to_pylist()


def train_all(
    names: Collection[str], training: Texts, words: Path, output: Path, text_mb: float, threads: int
) -> dict[str, Path]:
    """Train those of the vocabularies that are not there yet; name -> vocabulary."""
    text = output / "text.txt"

    def spm(kind: str, path: Path) -> None:
        if not text.exists():
            with atomic_path(text) as partial_file, open(partial_file, "w", encoding="utf-8") as out:
                for lines in lines_of(training, text_mb):
                    out.writelines(f"{line}\n" for line in lines)
        train_sentencepiece(text, kind, path, threads)

    made: dict[str, tuple[str, Callable[[Path], None]]] = {
        FIRST: ("v1/manifest.json", lambda path: train_ours(training, words, False, path.parent)),
        SECOND: ("v2/manifest.json", lambda path: train_ours(training, words, True, path.parent)),
        UNIGRAM: ("unigram.model", partial(spm, "unigram")),
        "sentencepiece BPE": ("bpe.model", partial(spm, "bpe")),
        "byte pairs of tokenizers": (
            "pairs/tokenizer.json",
            lambda path: train_bpe(lines_of(training, text_mb), path, IDS),
        ),
    }
    asked = {name: made[name] for name in names}
    for name, (file, make) in asked.items():
        if not (output / file).exists():
            print(f"training {name}", flush=True)
            begun = time.perf_counter()
            make(output / file)
            print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
    return {
        name: output / file if file.endswith(".model") else (output / file).parent
        for name, (file, _) in asked.items()
    }
