"""Files of ours that were changed by somebody (rows E): a right load, or an error that names the file."""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto

import spanish_tok as st
from spanish_tok import Counts, SpanishTokError, Tokenizer, Vocabulary
from spanish_tok.corpus.candidates import CandidatePass
from spanish_tok.corpus.external_sort import Spill
from spanish_tok.measure.verify import AWKWARD, sample_sentences
from spanish_tok.shards.reader import load_shards, read_manifest
from spanish_tok.tokenization.compiler import compile_vocabulary
from spanish_tok.tokenization.libraries import load_adapter
from spanish_tok.vocab.charsmap_check import charsmap_fault
from spanish_tok.vocab.counts.runs import count_runs
from tests.faults.changes import changed_json, copied, rewrite_hashes


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "tokens"
    st.shard(texts=sample_sentences(), output=folder)
    load_shards(folder)
    return folder


# E1: token shards


def other_array(name: str, change: Callable[[np.ndarray], Any], folder: Path) -> None:
    (path,) = (folder / ".arrays").glob(f"{name}-*.npy")
    array = np.load(path)
    path.unlink()
    changed = change(array)
    if isinstance(changed, bytes):
        path.write_bytes(changed)
    else:
        with open(path, "wb") as file:
            np.save(file, changed, allow_pickle=True)


def set_one(place: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ids", lambda a: a.astype(np.int64)),
        ("ids", lambda a: a.astype(">u2")),
        ("ids", lambda a: a.astype(np.float32)),
        ("ids", lambda a: a[:-1]),
        ("ids", lambda a: a.reshape(1, -1)),
        ("ids", lambda a: a.astype(object)),
        ("ids", lambda _: b""),
        ("ids", lambda _: b"\x93NUMPY\x01\x00v\x00{'descr': '<u2', 'shape': (9,"),
        ("ids", set_one(7, 5000)),
        ("ids", set_one(-1, 65535)),
        ("offsets", lambda a: a.astype(np.int32)),
        ("offsets", lambda a: a[1:]),
        ("offsets", lambda a: np.append(a, a[-1])),
        ("offsets", lambda a: a[::-1].copy()),
        ("offsets", set_one(0, -1)),
        ("offsets", set_one(0, 1)),
        ("offsets", set_one(3, 1 << 40)),
        ("offsets", set_one(-1, 1 << 40)),
    ],
)
def test_E1_arrays_that_do_not_fit_the_manifest_are_refused(
    name: str, change: Callable[[np.ndarray], Any], shards: Path, tmp_path: Path
) -> None:
    folder = copied(shards, tmp_path)
    other_array(name, change, folder)
    with pytest.raises(SpanishTokError, match=r"\.npy"):
        load_shards(folder)


def test_E1_an_array_of_a_user_is_checked(shards: Path) -> None:
    pytest.importorskip("torch")
    ids, offsets = map(np.array, load_shards(shards))
    for arrays in (
        st.TokenArrays(ids, offsets[::-1].copy()),
        st.TokenArrays(set_one(3, 9000)(ids.copy()), offsets),
        st.TokenArrays(ids.astype(np.float32), offsets),
    ):
        with pytest.raises(SpanishTokError):
            st.pretrain(arrays, steps=1, warmup=0)


def other_table(change: Callable[[pa.Table], pa.Table], folder: Path) -> None:
    """Change the table of the first shard; the manifest and the hashes say that it is right."""
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / manifest["shards"][0]["file"]
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    rewrite_hashes(folder)
    for cached in (folder / ".arrays").iterdir():
        cached.unlink()


def with_tokens(tokens: Any) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(1, "tokens", tokens(table["tokens"].combine_chunks()))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["tokens"]),
        lambda table: table.rename_columns(["id", "ids"]),
        lambda table: table.slice(1),
        lambda table: pa.concat_tables([table, table]),
        with_tokens(lambda lists: pa.array([[70000]] * len(lists))),
        with_tokens(lambda lists: pa.array([[-1]] * len(lists))),
        with_tokens(lambda lists: pa.array(["hola"] * len(lists))),
        with_tokens(lambda lists: pa.array([None] * len(lists), lists.type)),
        with_tokens(lambda lists: pa.array([[None]] * len(lists), lists.type)),
        with_tokens(lambda lists: pa.array([[[1]]] * len(lists))),
        with_tokens(lambda lists: pa.array([[9999] * len(ids) for ids in lists.to_pylist()], lists.type)),
    ],
)
def test_E1_shards_that_do_not_fit_the_manifest_are_refused(
    change: Callable[[pa.Table], pa.Table], shards: Path, tmp_path: Path
) -> None:
    folder = copied(shards, tmp_path)
    other_table(change, folder)
    with pytest.raises(SpanishTokError):
        load_shards(folder)
    with pytest.raises(SpanishTokError):
        st.decode_shards(folder, tmp_path / "text")


# E2, E10: models


def model_of(folder: Path) -> Any:
    return proto.ModelProto.FromString((folder / "spiece.model").read_bytes())


def charsmap_of(rules: list[tuple[str, str]]) -> bytes:
    spec = sentencepiece.SentencePieceNormalizer(norm_map=rules).serialized_normalizer_spec()
    return bytes(proto.NormalizerSpec.FromString(spec).precompiled_charsmap)


def foreign(tmp_path: Path, change: Callable[[Any], Any], folder: Path) -> Path:
    model = model_of(folder)
    change(model)
    path = tmp_path / "spiece.model"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "rules",
    [
        [("n\u0303", "a" * 250), ("a", "b")],
        [("n\u0303", "ñ" * 120)],
        [("n\u0303", "ñ"), ("n", "xyz")],
        [("n\u0303", "ñ"), ("n", "")],
        [("x", "y" * 300)],
        [("x", "😀")],
        [("x", "a  b")],
        [("abc", "d")],
    ],
)
def test_E2_rules_of_any_length_give_what_sentencepiece_gives(
    rules: list[tuple[str, str]], tmp_path: Path, folder: Path
) -> None:
    def change(model: Any) -> None:
        model.normalizer_spec.precompiled_charsmap = charsmap_of([("\x01", ""), *rules])

    path = foreign(tmp_path, change, folder)
    tokenizer = Tokenizer(Vocabulary.from_model(path))
    peer: Any = sentencepiece.SentencePieceProcessor(model_file=str(path))
    texts = ["n\u0303 an\u0303o abc xx n x" * 20, "n\u0303" * 3000, *sample_sentences()[:20]]
    assert tokenizer.encode_column(texts).to_pylist() == peer.encode(texts)


def units_of(charsmap: bytes) -> np.ndarray:
    size = int.from_bytes(charsmap[:4], "little")
    return np.frombuffer(charsmap, "<u4", size // 4, 4).copy()


def with_units(charsmap: bytes, units: np.ndarray) -> bytes:
    return charsmap[:4] + units.astype("<u4").tobytes() + charsmap[4 + 4 * len(units) :]


def in_a_circle(charsmap: bytes) -> bytes:
    """Let the node of `n` lead back to the root's children: keys without an end."""
    units = units_of(charsmap)
    root = int(units[0] >> 10) << ((int(units[0]) & 0x200) >> 6)
    node = root ^ ord("n")
    units[node] = (units[node] & 0x3FF) & ~np.uint32(0x200) | np.uint32((node ^ root) << 10)
    return with_units(charsmap, units)


def test_E2_a_charsmap_in_a_circle_or_out_of_range_is_refused(tmp_path: Path, folder: Path) -> None:
    good = charsmap_of([("n\u0303", "ñ"), ("nx", "y"), ("a", "b")])
    assert charsmap_fault(good) == ""
    assert "end" in charsmap_fault(in_a_circle(good))
    units = units_of(good)
    far = np.where(units >> 31 == 1, units, units | np.uint32(0x1FFFFF << 10))
    value = np.where(units >> 31 == 1, units | np.uint32(0x7FFFFFFF), units)
    long = good[:-1] + b"a" * 5000 + b"\0"
    cases = [in_a_circle(good), with_units(good, far), with_units(good, value), good[:-1], good[:50], b"\0"]
    cases += [good[:4] + b"\xff" * (len(good) - 5) + b"\0", good[:-2] + b"\xff\0"]
    for case in cases:
        assert charsmap_fault(case)
        model = model_of(folder)
        model.normalizer_spec.precompiled_charsmap = case
        path = tmp_path / "spiece.model"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(SpanishTokError, match=r"spiece\.model holds a damaged normalization table"):
            Vocabulary.from_model(path)
    assert charsmap_fault(long) in ("", "an expansion that is too long")


def all_of_kind(pieces: Any, kind: int) -> None:
    for piece in pieces:
        piece.type = kind


def latin_1(model: Any) -> bytes:
    data: bytes = model.SerializeToString()
    return data.replace("▁niño".encode(), b"\x96\x81 ni\xf1o1")


@pytest.mark.parametrize(
    "change",
    [
        latin_1,
        lambda m: m.ClearField("pieces"),
        lambda m: setattr(m.pieces[2], "type", 1),
        lambda m: setattr(m.pieces[9], "type", 2),
        lambda m: setattr(m.pieces[9], "type", 6),
        lambda m: all_of_kind(m.pieces, 3),
        lambda m: all_of_kind(m.pieces[3:], 5),
        lambda m: setattr(m.pieces[9], "piece", ""),
        lambda m: setattr(m.pieces[9], "piece", "<s>"),
        lambda m: setattr(m.pieces[9], "score", math.nan),
        lambda m: setattr(m.pieces[9], "score", math.inf),
        lambda m: setattr(m.trainer_spec, "model_type", 2),
        lambda m: setattr(m.trainer_spec, "byte_fallback", True),
        lambda m: setattr(m.trainer_spec, "vocab_size", 7),
        lambda m: setattr(m.trainer_spec, "unk_id", 4000),
        lambda m: setattr(m.trainer_spec, "unk_piece", "nada"),
        lambda m: m.SerializeToString()[:-3],
        lambda m: m.SerializeToString()[:1000],
        lambda _: b"",
        lambda _: b"hola",
    ],
)
def test_E10_a_model_is_right_or_refused_by_name(
    change: Callable[[Any], Any], tmp_path: Path, folder: Path
) -> None:
    model = model_of(folder)
    data = change(model)
    path = tmp_path / "spiece.model"
    path.write_bytes(data if isinstance(data, bytes) else model.SerializeToString())
    with suppress(SpanishTokError):
        tokenizer = Tokenizer(Vocabulary.from_model(path))
        encoded = tokenizer.encode_column(sample_sentences()).to_pylist()
        peer: Any = sentencepiece.SentencePieceProcessor(model_file=str(path))
        assert encoded == peer.encode(sample_sentences())
    if isinstance(data, bytes) and len(data) < 2000:
        with pytest.raises(SpanishTokError, match=r"spiece\.model"):
            Vocabulary.from_model(path)
    for load in (load_adapter, st.compare):
        with suppress(SpanishTokError):
            load(path)


@pytest.mark.parametrize("kind", [1, 4, 5, 6])
def test_E10_kinds_changed_in_a_folder_of_ours_are_seen(kind: int, tmp_path: Path, folder: Path) -> None:
    target = copied(folder, tmp_path)
    model = model_of(target)
    for number in (0, 1, 4950, 700):
        model.pieces[number].type = kind
    (target / "spiece.model").write_bytes(model.SerializeToString())
    rewrite_hashes(target)
    with pytest.raises(SpanishTokError, match=r"spiece\.model"):
        Vocabulary.load(target)


# E7: counts


def saved(path: Path, table: Any, metadata: Any = None) -> Path:
    if metadata is not None:
        table = table.replace_schema_metadata({b"spanish-tok": metadata})
    pq.write_table(table, path)
    return path


def invalid_text(column: pa.Array) -> pa.Array:
    data = pa.py_buffer(b"\xff\xfe" * len(column))
    offsets = pa.py_buffer(np.arange(0, 2 * len(column) + 1, 2, dtype=np.int64))
    return pa.LargeStringArray.from_buffers(len(column), offsets, data)


COUNTED = count_runs(sample_sentences()).table


@pytest.mark.parametrize(
    ("table", "metadata"),
    [
        (COUNTED.set_column(0, "run", invalid_text(COUNTED["run"])), None),
        (COUNTED, b"[1, 2]"),
        (COUNTED, b"null"),
        (COUNTED, b'{"fingerprint": 7}'),
        (COUNTED, b'{"records": "x"}'),
        (COUNTED, b'{"records": -1}'),
        (COUNTED, b'{"cut": 1e999}'),
        (COUNTED, b"\xff"),
        (COUNTED, b"{"),
        (COUNTED, b"[" * 200_000),
        (COUNTED.set_column(1, "count", pa.array([{"a": 1}] * len(COUNTED))), None),
        (COUNTED.set_column(0, "run", pa.array([{"a": "x"}] * len(COUNTED))), None),
        (COUNTED.set_column(0, "run", pa.array([["x"]] * len(COUNTED))), None),
        (COUNTED.set_column(1, "count", pa.array([1.5] * len(COUNTED))), None),
        (COUNTED.set_column(1, "count", pa.array([math.nan] * len(COUNTED))), None),
        (COUNTED.set_column(1, "count", pa.array([0] * len(COUNTED))), None),
        (COUNTED.set_column(1, "count", pa.array([1 << 62] * len(COUNTED))), None),
        (COUNTED.set_column(1, "count", pa.nulls(len(COUNTED), pa.int64())), None),
    ],
)  # fmt: skip
def test_E7_counts_that_are_none_are_refused_by_name(table: Any, metadata: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "counts.parquet", table, metadata)
    with pytest.raises(SpanishTokError, match="counts"):
        Counts.load(path)


def test_E7_damaged_pages_are_refused_by_name(tmp_path: Path) -> None:
    right, refused = count_runs(sample_sentences()), 0
    right.save(tmp_path / "counts.parquet", level=3)
    good = (tmp_path / "counts.parquet").read_bytes()
    for place in range(4, len(good), len(good) // 25):
        (tmp_path / "counts.parquet").write_bytes(
            good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :]
        )
        try:
            loaded = Counts.load(tmp_path / "counts.parquet")
        except SpanishTokError:
            refused += 1
        else:
            assert loaded.fingerprint == right.fingerprint
    assert refused > 10


# E8: manifests and unfinished jobs


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("shards",), None),
        (("shards",), {}),
        (("shards",), "DELETE"),
        (("shards", 0), 7),
        (("shards", 0, "file"), 7),
        (("shards", 0, "file"), "DELETE"),
        (("shards", 0, "file"), ".."),
        (("shards", 0, "file"), "x" * 5000),
        (("shards", 0, "file"), "a\0b"),
        (("shards", 0, "sha256"), None),
        (("shards", 0, "records"), -1),
        (("shards", 0, "ids"), "3"),
        (("records",), 1 << 61),
        (("ids",), 1 << 61),
        (("ids",), 1.5),
        (("key",), None),
        (("format",), [1]),
        (("format",), "DELETE"),
        (("kind",), ["tokens"]),
        (("vocabulary",), "x"),
        (("vocabulary", "size"), 1 << 40),
        (("vocabulary", "size"), True),
        (("vocabulary", "fingerprint"), 5),
    ],
)
def test_E8_a_manifest_of_shards_has_its_shape(
    place: tuple[Any, ...], value: Any, shards: Path, tmp_path: Path
) -> None:
    folder = copied(shards, tmp_path)
    changed_json(folder / "manifest.json", place, value)
    with pytest.raises(SpanishTokError):
        load_shards(folder, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"7", b"\xff", b"[" * 100_000, b"1" * 5000, b'{"a": NaN}']
)
def test_E8_any_json_in_place_of_ours_is_refused_by_name(
    content: bytes, shards: Path, tmp_path: Path
) -> None:
    folder = copied(shards, tmp_path)
    (folder / "manifest.json").write_bytes(content)
    for load in (read_manifest, Vocabulary.load, st.count):
        with pytest.raises(SpanishTokError):
            load(folder)
    with pytest.raises(SpanishTokError):
        st.shard(texts=sample_sentences(), output=folder)


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("job.json", (), []),
        ("job.json", ("job",), 7),
        ("state.json", (), 7),
        ("state.json", ("shards",), "DELETE"),
        ("state.json", ("shards",), [{"file": "part-00000.parquet"}]),
        ("state.json", ("report",), {}),
        ("state.json", ("report", "rules"), []),
        ("state.json", ("position",), []),
        ("state.json", ("position", "pass"), "x"),
        ("state.json", ("position", "low"), -5),
        ("state.json", ("position", "range"), "DELETE"),
        ("candidates-0000000000000000.json", (), []),
        ("candidates-0000000000000000.json", ("done",), "DELETE"),
        ("candidates-0000000000000000.json", ("runs",), [[0, 1 << 40, 0, 0]]),
        ("candidates-0000000000000000.json", ("runs",), [[5, 1, 1, 1]]),
        ("candidates-0000000000000000.json", ("runs",), [[0, 1]]),
        ("candidates-0000000000000000.json", ("reports",), [{"name": 3}]),
        ("candidates-0000000000000000.json", ("pieces",), [[99, 0, None]]),
        ("candidates-0000000000000000.json", ("pieces",), []),
    ],
)
def test_E8_the_notes_of_a_half_done_sample_have_their_shape(
    file: str, place: tuple[Any, ...], value: Any, half_done: Path, tmp_path: Path
) -> None:
    folder = copied(half_done, tmp_path)
    changed_json(folder / "unfinished" / file, place, value)
    with pytest.raises(SpanishTokError):
        st.sample(texts=TEXTS, output=folder, size=150, clean=False)


TEXTS = [f"El perro número {n} duerme en la casa de al lado." for n in range(200)]


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample that stopped before its manifest was written."""
    folder = tmp_path_factory.mktemp("half") / "sample"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CandidatePass, "close", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            st.sample(texts=TEXTS, output=folder, size=150, clean=False)
    return folder


def test_E8_a_half_done_sample_goes_on(half_done: Path, tmp_path: Path) -> None:
    folder = copied(half_done, tmp_path)
    assert st.sample(texts=TEXTS, output=folder, size=150, clean=False).rows == 150


def test_E8_a_shard_of_a_half_done_sample_that_is_gone_is_told(half_done: Path, tmp_path: Path) -> None:
    folder = copied(half_done, tmp_path)
    (folder / "part-00000.parquet").unlink()
    with pytest.raises(SpanishTokError, match=r"part-00000\.parquet"):
        st.sample(texts=TEXTS, output=folder, size=150, clean=False)


def test_E8_a_damaged_spill_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spill"
    spill = Spill(path, [])
    columns = {
        "key": pa.array([1, 2, 3], pa.uint64()),
        "id": ["a", "b", None],
        "text": ["uno", "dos", "tres"],
    }
    spill.append(pa.record_batch(columns))
    spill.sync()
    runs = [list(run) for run in spill.runs]
    spill.close()
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + b"\xff" + good[place + 1 :])
        spill = Spill(path, [list(run) for run in runs])
        with suppress(SpanishTokError):
            keys = np.concatenate([spill.keys_of(run) for run in spill.runs])
            parts = [load for parts in spill.ranges(keys, 2) for load in parts]
            assert sum(load().num_rows for load in parts) == 3
        spill.close()
    path.write_bytes(good[:-1])
    with pytest.raises(SpanishTokError, match="shorter than it was"):
        Spill(path, runs)


def test_vocabulary_of_ours_is_compiled(folder: Path) -> None:
    """The checks keep ours on the quick path."""
    assert compile_vocabulary(Vocabulary.load(folder)) is not None
    assert sha256((folder / "spiece.model").read_bytes()).hexdigest()
    assert Tokenizer.load().encode_column(list(AWKWARD)).to_pylist() == Tokenizer.load().encode(list(AWKWARD))


# E9: checkpoints, tasks, configurations, tokenizer.json


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint of two steps."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("run") / "run"
    st.pretrain(texts=sample_sentences(), output=folder, **SMALL)
    return folder


SMALL: dict[str, Any] = {
    "steps": 2, "warmup": 1, "batch_size": 1, "input_length": 32, "held_out": 0.0, "save_every": 1, "keep": 1,
}  # fmt: skip


def resumed(folder: Path) -> None:
    st.pretrain(texts=sample_sentences(), output=folder, **{**SMALL, "steps": 3})


def test_E9_a_run_goes_on(trained: Path, tmp_path: Path) -> None:
    resumed(copied(trained, tmp_path))


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("training.json", (), []),
        ("training.json", ("step",), "DELETE"),
        ("training.json", ("step",), "2"),
        ("training.json", ("step",), -1),
        ("training.json", ("tokens",), None),
        ("training.json", ("seconds",), [1]),
        ("training.json", ("recipe",), []),
        ("training.json", ("recipe",), "DELETE"),
        ("training.json", ("vocabulary",), "DELETE"),
        ("training.json", ("records",), "x"),
        ("model.json", (), 7),
        ("model.json", ("files",), [1]),
        ("model.json", ("files", "config.json"), None),
        ("model.json", ("vocabulary",), "DELETE"),
        ("model.json", ("notes",), 7),
        ("config.json", (), []),
        ("config.json", ("pad_token_id",), 1.5),
        ("config.json", ("d_model",), 1e3),
        ("config.json", ("d_model",), True),
        ("config.json", ("num_layers",), 10**12),
        ("config.json", ("num_layers",), 10**5),
        ("config.json", ("vocab_size",), 10**15),
        ("config.json", ("num_heads",), [4]),
        ("config.json", ("dropout_rate",), math.nan),
        ("config.json", ("layer_norm_epsilon",), -1),
        ("config.json", ("feed_forward_proj",), ["relu"]),
        ("config.json", ("tie_word_embeddings",), "yes"),
        ("config.json", ("model_type",), {"t5": 1}),
    ],
)
def test_E9_notes_of_a_checkpoint_have_their_shape(
    file: str, place: tuple[Any, ...], value: Any, trained: Path, tmp_path: Path
) -> None:
    folder = copied(trained, tmp_path)
    (checkpoint,) = folder.glob("checkpoint-*")
    changed_json(checkpoint / file, place, value)
    if file != "model.json":
        rewrite_hashes(checkpoint)
    with pytest.raises(SpanishTokError):
        resumed(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eos_token_id", [1, 2]),
        ("eos_token_id", "1"),
        ("d_model", "320"),
        ("dropout_rate", "0.1"),
        ("layer_norm_epsilon", "1e-6"),
        ("relative_attention_num_buckets", 32.0),
    ],
)
def test_E9_numbers_in_other_forms_are_read(name: str, value: Any, trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path)
    (checkpoint,) = folder.glob("checkpoint-*")
    changed_json(checkpoint / "config.json", (name,), value)
    rewrite_hashes(checkpoint)
    resumed(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update({"random state of cpu": np.zeros(7, np.uint8)}),
        lambda a: a.update({"random state of cpu": np.zeros(5056, np.float32)}),
        lambda a: a.update({"x.exp_avg": np.zeros(3, np.float32)}),
        lambda a: a.update({"999999.exp_avg": np.zeros(3, np.float32)}),
        lambda a: a.update({"0.exp_avg": np.zeros(3, np.float32)}),
        lambda a: a.update({"0.step": np.zeros(3, np.float32)}),
        lambda a: a.update({"0.exp_avg": a["0.exp_avg"].astype(np.int64)}),
        lambda a: a.pop("0.exp_avg"),
        lambda a: [a.pop(name) for name in list(a) if name.startswith("3.")],
        lambda a: a.update({"0.other": a["0.exp_avg"]}),
    ],
)
def test_E9_arrays_of_an_optimizer_are_checked(
    change: Callable[[dict[str, Any]], Any], trained: Path, tmp_path: Path
) -> None:
    from spanish_tok.t5.safetensors import read_tensors, write_tensors

    folder = copied(trained, tmp_path)
    (path,) = folder.glob("checkpoint-*/optimizer.safetensors")
    arrays = read_tensors(path)
    change(arrays)
    write_tensors(path, arrays)
    with pytest.raises(SpanishTokError, match=r"optimizer\.safetensors"):
        resumed(folder)


@pytest.mark.parametrize("cell", ["x", "", "1e5", "\0", "nan"])
def test_E9_a_log_with_other_cells_is_refused(cell: str, tmp_path: Path) -> None:
    from spanish_tok.training.log import read_log

    head = "step,tokens,cpu_seconds,loss,learning_rate,gradient_norm,tokens_per_second,validation_loss,bits_per_byte"
    (tmp_path / "log.csv").write_text(f"{head}\n{cell},2,0.1,3.0,0.1,1.0,100,,\n", encoding="utf-8")
    with pytest.raises(SpanishTokError, match=r"log\.csv"):
        read_log(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_bytes(f"{head}\n1,2,0.1,3.0,0.1,1.0,100,,\xff\n".encode("latin-1"))
    with pytest.raises(SpanishTokError, match=r"log\.csv"):
        read_log(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), []),
        (("format",), 9),
        (("task",), 7),
        (("task", "input"), 7),
        (("task", "input"), "{"),
        (("task", "optional"), [7]),
        (("task", "columns"), []),
        (("task", "input_tokens"), "512"),
        (("task", "metric"), ["f1"]),
        (("task", "more"), 1),
        (("task", "name"), "DELETE"),
        (("labels",), ["a"]),
        (("labels",), {"a": "b"}),
        (("labels",), {}),
        (("division",), [1]),
        (("division",), {"seed": "x"}),
        (("notes",), 3),
    ],
)
def test_E9_a_task_has_its_shape(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    from spanish_tok.tasks.bundle import TaskBundle

    bundle = TaskBundle(
        st.Task.load("classification"), {"a": 3, "b": 1}, {"validation": 0.1, "held_out": 0, "seed": 1}
    )
    bundle.save(tmp_path)
    assert TaskBundle.load(tmp_path) == bundle
    changed_json(tmp_path / "task.json", place, value)
    with pytest.raises(SpanishTokError, match=r"task\.json"):
        TaskBundle.load(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), 1),
        (("format",), 3),
        (("tasks",), "DELETE"),
        (("tasks",), {}),
        (("tasks",), []),
        (("tasks", 0), 7),
        (("tasks", 0, "task"), "DELETE"),
        (("tasks", 0, "task", "metric"), "bleu"),
        (("tasks", 1, "labels"), {}),
        (("tasks", 1, "task", "name"), "summarization"),
    ],
)
def test_E9_a_file_of_several_tasks_has_its_shape(place: tuple[Any, ...], value: Any, tmp_path: Path) -> None:
    from spanish_tok.tasks.bundle import TaskBundle, load_bundles, save_bundles

    bundles = [
        TaskBundle(st.Task.load("summarization")),
        TaskBundle(st.Task.load("classification"), {"a": 3, "b": 1}),
    ]
    save_bundles(bundles, tmp_path)
    assert load_bundles(tmp_path) == bundles
    changed_json(tmp_path / "task.json", place, value)
    with pytest.raises(SpanishTokError, match=r"task\.json"):
        load_bundles(tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), []),
        (("model",), None),
        (("model",), "x"),
        (("model", "type"), 7),
        (("model", "vocab"), []),
        (("model", "vocab", 5), ["x"]),
        (("model", "unk_id"), 10**9),
        (("model", "unk_id"), None),
        (("normalizer",), []),
        (("normalizer", "normalizers", 16, "precompiled_charsmap"), "%%%"),
        (("normalizer", "normalizers", 16, "precompiled_charsmap"), ""),
        (("normalizer", "normalizers", 16, "precompiled_charsmap"), "AAAA"),
        (("normalizer", "normalizers", 16, "precompiled_charsmap"), 7),
        (("normalizer", "normalizers", 16, "precompiled_charsmap"), "DELETE"),
        (("pre_tokenizer",), {"type": "Sequence", "pretokenizers": 7}),
        (("decoder",), {"type": 7}),
        (("added_tokens",), [{"id": -1}]),
        (("post_processor", "special_tokens"), {}),
    ],
)
def test_E9_a_tokenizer_json_is_right_or_refused_by_name(
    place: tuple[Any, ...], value: Any, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes((folder / "tokenizer.json").read_bytes())
    changed_json(path, place, value)
    with suppress(SpanishTokError):
        adapter = load_adapter(path)
        adapter.encode_all([*sample_sentences()[:5], *AWKWARD])
        adapter.cut("casa")
        adapter.decode([5, 6])
    assert adapter_is_refused(path) or place in ((("model", "unk_id")), ("post_processor", "special_tokens"))


def adapter_is_refused(path: Path) -> bool:
    try:
        load_adapter(path)
    except SpanishTokError as error:
        return "tokenizer.json" in str(error)
    return False
