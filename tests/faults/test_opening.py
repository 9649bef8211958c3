"""One opener by content: compressions, their damage, pipes, addresses (rows A3, A8, A9, B6, B7, B11, E3)."""

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spanish_tok as st
from spanish_tok import ReadOptions, SpanishTokError
from spanish_tok.readers.opening import remote
from spanish_tok.readers.records import read_records
from spanish_tok.readers.streams import open_stream
from tests.faults.verbs import LINE_VERBS, READ, READ_LINES, VERBS, command, run

LINES = [f"El niño número {number} corre por la calle {number * 7919}." for number in range(400)]
TEXT = "".join(line + "\n" for line in LINES).encode()
TEXTS = ReadOptions(format="text")


def arrow_compressed(codec: str) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(data)
        return bytes(sink.getvalue())

    return compress


def zstd_frame(
    data: bytes, *, window: int | None = None, checksum: bool = False, single: bool = False
) -> bytes:
    """A frame of raw blocks, as RFC 8878 describes it; `window` is the byte of the window descriptor."""
    header = b"\x28\xb5\x2f\xfd"
    if single:
        header += bytes([0b1010_0000 | checksum << 2]) + len(data).to_bytes(4, "little")
    else:
        header += bytes([checksum << 2, 0x58 if window is None else window])
    blocks = [data[at : at + 100_000] for at in range(0, len(data), 100_000)] or [b""]
    for place, block in enumerate(blocks):
        header += (len(block) << 3 | (place == len(blocks) - 1)).to_bytes(3, "little") + block
    return header


SKIPPED = b"\x5a\x2a\x4d\x18" + (9).to_bytes(4, "little") + b"una nota."
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": arrow_compressed("zstd"),
    "lz4": arrow_compressed("lz4"),
}
HALF = len(TEXT) // 2


def xz(check: int) -> Callable[[bytes], bytes]:
    return lambda data: lzma.compress(data, check=check)


# name -> the bytes of a file that holds TEXT
WHOLE: dict[str, bytes] = {name: compress(TEXT) for name, compress in COMPRESSIONS.items()}
WHOLE |= {f"{name}, two streams": c(TEXT[:HALF]) + c(TEXT[HALF:]) for name, c in COMPRESSIONS.items()}
WHOLE |= {
    f"{name}, an empty stream between": c(TEXT[:9]) + c(b"") + c(TEXT[9:]) for name, c in COMPRESSIONS.items()
}
WHOLE |= {
    "gz padded with zeros": gzip.compress(TEXT) + bytes(1000),
    "gz padded between members": gzip.compress(TEXT[:HALF]) + bytes(7) + gzip.compress(TEXT[HALF:]),
    "bz2 padded with zeros": bz2.compress(TEXT) + bytes(512),
    "xz padded": lzma.compress(TEXT) + bytes(8),
    "xz padded between": lzma.compress(TEXT[:HALF]) + bytes(4) + lzma.compress(TEXT[HALF:]) + bytes(12),
    "xz without a check": xz(lzma.CHECK_NONE)(TEXT),
    "xz with CRC32": xz(lzma.CHECK_CRC32)(TEXT),
    "xz with SHA-256": xz(lzma.CHECK_SHA256)(TEXT),
    "zst with skipped frames": SKIPPED
    + zstd_frame(TEXT[:HALF])
    + SKIPPED
    + zstd_frame(TEXT[HALF:])
    + SKIPPED,
    "zst of one segment": zstd_frame(TEXT, single=True),
    "zst with the largest window": zstd_frame(TEXT, window=17 << 3),
    "lz4 with skipped frames": SKIPPED + COMPRESSIONS["lz4"](TEXT) + SKIPPED,
    "twice": gzip.compress(lzma.compress(TEXT)),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", ["x.txt", "x", "X.TXT.GZ", "x.txt.bz2"])
def test_A8_B11_every_compression_is_known_by_content_whatever_the_name(
    tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(WHOLE[kind])
    with open_stream(path) as stream:
        assert io.BufferedReader(stream).read() == TEXT
    texts = [text for batch in read_records([path], TEXTS) for text in batch["text"].to_pylist()]
    assert texts == LINES


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("verb", READ_LINES)
def test_A8_every_verb_reads_every_compression(tmp_path: Path, verb: str, kind: str) -> None:
    (tmp_path / "plain.txt").write_bytes(TEXT)
    (tmp_path / "packed.txt").write_bytes(WHOLE[kind])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    read = READ_LINES[verb]
    assert read(tmp_path / "packed.txt", tmp_path / "a", TEXTS) == read(
        tmp_path / "plain.txt", tmp_path / "b", TEXTS
    )


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("form", ["csv", "jsonl", "tsv", "arrow"])
def test_A8_every_format_is_read_compressed(tmp_path: Path, form: str, kind: str) -> None:
    table = pa.table({"id": [str(number) for number in range(400)], "text": LINES})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    contents = {
        "csv": b"id,text\n" + b"".join(f"{n},{line}\n".encode() for n, line in enumerate(LINES)),
        "jsonl": b"".join(f'{{"id": {n}, "text": "{line}"}}\n'.encode() for n, line in enumerate(LINES)),
        "tsv": b"".join(f"{n}\t{line}\n".encode() for n, line in enumerate(LINES)),
        "arrow": bytes(sink.getvalue()),
    }
    (tmp_path / "x").write_bytes(COMPRESSIONS[kind](contents[form]))
    batches = list(read_records([tmp_path / "x"], ReadOptions(format=form)))
    assert pa.Table.from_batches(batches).to_pydict() == table.to_pydict()


DAMAGE: dict[str, tuple[bytes, str]] = {
    "A9 xz, the second header": (
        lzma.compress(TEXT[:HALF]) + b"\xfd7zXY" + lzma.compress(TEXT[HALF:])[5:],
        "cut off or damaged",
    ),
    "xz, zeros that are no padding": (lzma.compress(TEXT) + bytes(3), "no padding"),
    "zst, no frame follows": (WHOLE["zst"] + b"\x28\xb5\x2f\xfe" + WHOLE["zst"][4:], "what follows a frame"),
    "zst, cut in the second magic": (WHOLE["zst"] + b"\x28\xb5", "what follows a frame"),
    "zst, cut after the magic": (WHOLE["zst"] + b"\x28\xb5\x2f\xfd", "ends within a frame"),
    "lz4, no frame follows": (WHOLE["lz4"] + b"texto", "what follows a frame"),
    "gz, no member follows": (WHOLE["gz"] + b"texto", "cut off or damaged"),
    "bz2, no stream follows": (WHOLE["bz2"] + b"texto", "cut off or damaged"),
    "B6 zst with a window of 2 GB": (zstd_frame(TEXT, window=21 << 3), "zstd -d --long=31"),
    "zst with a dictionary": (b"\x28\xb5\x2f\xfd\x01\x58\x07" + zstd_frame(TEXT)[6:], "with a dictionary"),
    "lz4, the legacy format": (b"\x02\x21\x4c\x18" + bytes(20), "legacy"),
}


@pytest.mark.parametrize("case", DAMAGE)
@pytest.mark.parametrize("verb", READ_LINES)
def test_A9_E3_damage_that_a_format_can_tell_is_told(tmp_path: Path, case: str, verb: str) -> None:
    data, said = DAMAGE[case]
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(SpanishTokError, match=said) as caught:
        READ_LINES[verb](tmp_path / "x.txt", tmp_path, TEXTS)
    assert "x.txt" in str(caught.value)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_E3_cut_anywhere_is_told(tmp_path: Path, kind: str) -> None:
    """Also where it is cut to nothing: the name promises a stream."""
    path = tmp_path / f"x.txt.{kind}"
    whole = COMPRESSIONS[kind](TEXT[:900])
    for end in [*range(30), *range(30, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(SpanishTokError, match="cut off or damaged"):
            list(read_records([path], TEXTS))


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "lz4 with a checksum", "zst with a checksum"])
def test_E3_one_changed_byte_is_told_or_changes_no_text(tmp_path: Path, kind: str) -> None:
    if kind == "zst with a checksum":
        packed = (
            subprocess.run(["zstd", "-c"], input=TEXT, capture_output=True).stdout if has("zstd") else b""
        )
    elif kind == "lz4 with a checksum":
        packed = subprocess.run(["lz4", "-c"], input=TEXT, capture_output=True).stdout if has("lz4") else b""
    else:
        packed = COMPRESSIONS[kind](TEXT)
    if not packed:
        pytest.skip("needs the program that compresses")
    path, rng = tmp_path / f"x.txt.{kind.split()[0]}", random.Random(0)
    for place in [*range(24), *(rng.randrange(len(packed)) for _ in range(80))]:
        path.write_bytes(
            packed[:place] + bytes([packed[place] ^ 1 << rng.randrange(8)]) + packed[place + 1 :]
        )
        try:
            texts = [text for batch in read_records([path], TEXTS) for text in batch["text"].to_pylist()]
        except SpanishTokError:
            continue
        assert texts == LINES, place


def has(program: str) -> bool:
    return any(os.access(Path(folder) / program, os.X_OK) for folder in os.environ["PATH"].split(os.pathsep))


@pytest.mark.skipif(not has("zstd"), reason="needs zstd")
@pytest.mark.parametrize(
    "options", [["--long=31", "--ultra", "-22"], ["--long=27"], ["-19"], ["--no-check"], ["-B1"]]
)
def test_B6_what_zstd_writes_is_read_or_refused_with_its_command(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "x.txt").write_bytes(TEXT)
    done = subprocess.run(["zstd", *options, "-c", "-"], input=TEXT, capture_output=True)
    (tmp_path / "x.txt.zst").write_bytes(done.stdout)
    if "--long=31" in options:
        with pytest.raises(SpanishTokError, match=r"zstd -d --long=31 .*x\.txt\.zst"):
            list(read_records([tmp_path / "x.txt.zst"]))
    else:
        assert [t for b in read_records([tmp_path / "x.txt.zst"]) for t in b["text"].to_pylist()] == LINES


# Pipes

PIPES = ("/dev/stdin", "-", "<(...)")
PIPED = [(verb, pipe) for verb in ("count", "shard", "sample", "normalize") for pipe in PIPES]
PIPED += [("train", "-"), ("clean", "/dev/stdin"), ("compare", "<(...)")]


@pytest.mark.parametrize(("verb", "pipe"), [*PIPED, pytest.param("bench", "-", marks=pytest.mark.slow)])
def test_A3_every_verb_reads_pipes(tmp_path: Path, verb: str, pipe: str) -> None:
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(TEXT * 3))
    options = () if verb == "normalize" else ("--format", "text")
    arguments = " ".join(map(str, command(verb, "@", tmp_path, *options)))
    cat = f"cat {tmp_path / 'x.txt.gz'}"
    program = f"{sys.executable} -m spanish_tok {arguments}"
    shell = {
        "<(...)": f"{program.replace('@', f'<({cat})')}",
    }.get(pipe, f"{cat} | {program.replace('@', pipe)}")
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = 3 * len(LINES)
    said = {
        "count": f"{records:,} records",
        "shard": f"{records:,} records",
        "clean": f"of {records:,} that were looked at",
        "sample": "5 records of 5 that were looked at",
        "bench": f"{records:,} records",
        "compare": f"{records:,} records",
        "normalize": "el niño número 399 corre",
        "train": "300 ids, fingerprint",
    }[verb]
    assert said in done.stdout.replace("\n", " "), done.stdout
    assert not list(tmp_path.glob(".pipe-*"))


def test_A3_a_pipe_gives_the_bytes_that_the_file_gives(tmp_path: Path) -> None:
    """Twice the same pipe is the same job: it is done."""
    (tmp_path / "-.txt").write_bytes(TEXT)
    for out in ("a", "a", "b"):
        fifo = tmp_path / f"{out}-fifo"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_bytes, args=(TEXT,))
        writer.start()
        st.sample(fifo, tmp_path / out, size=50, clean=False, reading=TEXTS, source="x")
        writer.join()
    st.sample(tmp_path / "-.txt", tmp_path / "c", size=50, clean=False, reading=TEXTS, source="x")
    parts = [(tmp_path / name / "part-00000.parquet").read_bytes() for name in "abc"]
    assert parts[0] == parts[1] == parts[2]


def test_A3_parquet_from_a_pipe(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": LINES}), sink)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(sink.getvalue(),))
    writer.start()
    assert st.count(tmp_path / "pipe", reading=ReadOptions(format="parquet")).records == len(LINES)
    writer.join()


# Addresses


class Server(ThreadingHTTPServer):
    """Answers with `body` and `headers`, or with a status alone; notes the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.headers, self.status = b"", dict[str, str](), 200
        self.requests = list[str]()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


@contextmanager
def serving() -> Iterator[tuple[Server, str]]:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "path", ["x.txt.gz?download=true", "x.txt?a=b.parquet&c=/d.csv", "c/x.TXT#part", "x.txt"]
)
@pytest.mark.parametrize("verb", READ)
def test_A8_B7_addresses_with_queries_and_encoded_answers(tmp_path: Path, path: str, verb: str) -> None:
    (tmp_path / "plain.txt").write_bytes(TEXT)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with serving() as (server, address):
        server.body, server.headers = gzip.compress(TEXT), {"Content-Encoding": "gzip"}
        read = READ[verb](f"{address}/{path}", tmp_path / "a", ReadOptions())
    assert read == READ[verb](tmp_path / "plain.txt", tmp_path / "b", ReadOptions())


@pytest.mark.parametrize("encoding", ["br", "deflate"])
def test_A8_an_answer_that_cannot_be_decoded_is_refused(encoding: str) -> None:
    with serving() as (server, address):
        server.body, server.headers = b"\x0b\x02\x80hola\x03", {"Content-Encoding": encoding}
        with pytest.raises(SpanishTokError, match=f"answers in the encoding {encoding!r}"):
            st.count(f"{address}/x.txt")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 451])
def test_C26_an_address_that_refuses_is_told_at_once(status: int) -> None:
    with serving() as (server, address):
        server.status = status
        with pytest.raises(SpanishTokError, match=rf"x\.txt (answered {status}|does not exist)"):
            st.count(f"{address}/x.txt")
        assert len(server.requests) == 1


def test_C26_an_address_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.0)
    with serving() as (server, address):
        server.status = 503
        with pytest.raises(SpanishTokError, match="failed 5 times"):
            st.count(f"{address}/x.txt")


@pytest.mark.parametrize("verb", [*VERBS, *LINE_VERBS])
def test_A19_an_empty_file_is_one_line(tmp_path: Path, verb: str) -> None:
    (tmp_path / "x.txt").write_bytes(b"")
    ended = run(*command(verb, tmp_path / "x.txt", tmp_path))
    if verb in LINE_VERBS:
        assert ended == (0, "", "")  # as many lines as there are
    else:
        assert (ended.status, ended.is_one_line) == (2, True), ended
        assert "x.txt" in ended.said
        assert "is empty" in ended.said or "holds no text" in ended.said
