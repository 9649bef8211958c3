"""Kernels that load by raw address, over memory that ends at a page which nobody may touch.

    python -m tests.kernels.guarded [case ...]

Each case runs a kernel twice: over ordinary arrays, and over copies that lie against such a page, with their end and
with their beginning. The results must be equal; a byte read or written outside ends the process by a signal.
"""

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from spanish_tok import Tokenizer
from spanish_tok.files import shipped
from spanish_tok.kernels import bytes as memory
from spanish_tok.kernels import hash as hashing
from spanish_tok.kernels.nn import argmax, attention, dropout, matmul, matmul_int8
from spanish_tok.kernels.text import clean, count, decode, encode, lines, normalize, runs, utf8
from spanish_tok.measure.verify import sample_sentences
from spanish_tok.t5.checkpoint import Checkpoint
from spanish_tok.t5.cpu_backend import CpuBackend
from spanish_tok.t5.cpu_weights import pack_screen, padded
from spanish_tok.t5.quantization import quantize
from spanish_tok.text.arrow import bytes_and_offsets, text_chunks
from spanish_tok.tokenization.compiler import compile_vocabulary

PAGE = mmap.PAGESIZE
ALPHABET = "abcñáéz09 .,¿—<>&;-{}\\\n\tÃ\u200b½ﬁ\u0301"
Place = Callable[[Any], Any]  # puts an array, or all arrays of a tuple, somewhere


def at_the_end(array: Any) -> Any:
    """Return a copy whose last byte is the last one that may be read."""
    return _placed(array, last=True)


def at_the_start(array: Any) -> Any:
    """Return a copy whose first byte is the first one that may be read."""
    return _placed(array, last=False)


def _placed(array: Any, last: bool) -> Any:
    if isinstance(array, tuple):
        parts = [_placed(part, last) for part in array]
        return type(array)(*parts) if hasattr(array, "_fields") else tuple(parts)
    if not isinstance(array, np.ndarray):
        return array
    pages = max(1, -(-array.nbytes // PAGE))
    region = mmap.mmap(-1, (pages + 2) * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for guard in (address, address + (pages + 1) * PAGE):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), PAGE, 0) == 0
    start = (pages + 1) * PAGE - array.nbytes if last else PAGE
    copy = np.frombuffer(region, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = array.flags.writeable
    return copy


def texts() -> Iterator[list[str]]:
    """Some texts of every length around the blocks of the kernels."""
    draw = np.random.default_rng(3)
    for length in [*range(40), *range(56, 84), *range(120, 136), 700]:
        chars = draw.choice(list(ALPHABET), length)
        yield ["".join(chars)]
    yield sample_sentences()[:30]
    yield ["", "a", "", "ñ", "perro " * 30]


def columns() -> Iterator[tuple[Any, Any]]:
    """The bytes and offsets of these texts."""
    for column in texts():
        yield bytes_and_offsets(text_chunks(pa.array(column, pa.large_string()))[0])


def numbers(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def bytes_case(place: Place) -> Iterator[Any]:
    for data, offsets in columns():
        data = place(data)
        hashes = place(np.zeros(len(offsets) - 1, np.uint64))
        memory.hash_rows(data, place(offsets), hashes)
        yield hashes
        for k in range(min(20, data.size)):
            yield memory.word_at(data, data.size - k)
            yield memory.equal_bytes(data, data.size - k, place(data[data.size - k :].copy()), 0, k)
        yield hashing.hash_rows(data, place(offsets), place(np.arange(len(offsets) - 1, dtype=np.uint64)))


def lines_case(place: Place) -> Iterator[Any]:
    for data, _ in columns():
        block = place(np.append(data, np.uint8(10)))
        starts = place(lines.row_starts(block))
        begins, ends = place(starts[:-1].copy()), place(lines.row_ends(block, starts))
        offsets = place(np.zeros(len(starts), np.int32))
        copied = place(np.zeros(int((ends - begins).sum()), np.uint8))
        lines.copy_fields(block, begins, ends, offsets, copied)
        yield starts, lines.first_tabs(block, starts), offsets, copied, lines.last_newline(block, len(block))


def utf8_case(place: Place) -> Iterator[Any]:
    for data, offsets in columns():
        narrow = offsets.astype(np.int32)
        yield utf8.invalid_rows(place(data), place(narrow))
        for cut in range(1, min(4, data.size)):  # within a character, perhaps
            yield utf8.invalid_rows(place(data[:-cut].copy()), place(np.minimum(narrow, data.size - cut)))


def clean_case(place: Place) -> Iterator[Any]:
    plain, words = place(np.zeros(256, np.bool_)), np.zeros(16, np.uint64)
    words[int((ord("a") * int(memory.MULTIPLIER) >> 32) & 15)] = ord("a")
    for data, offsets in columns():
        yield clean.suspicions(place(data), place(offsets), plain)
        yield clean.measure(
            *place(normalize.normalize_records(data, offsets, compiled().table)), place(words)
        )


def compiled() -> Any:
    return compile_vocabulary(Tokenizer.load().vocabulary)


def encode_case(place: Place) -> Iterator[Any]:
    table, automaton, plain = place(tuple(compiled()))
    cache = place(np.zeros((64, 8), np.uint64))
    for data, offsets in columns():
        for eos in (-1, 1):
            yield encode.encode_records(place(data), place(offsets), table, automaton, plain, cache, eos)[:2]
        yield normalize.normalize_records(place(data), place(offsets), table)


def count_case(place: Place) -> Iterator[Any]:
    table, *_ = place(tuple(compiled()))
    for data, offsets in columns():
        seen = place(np.zeros((64, 4), np.uint64))
        found, seen, _ = count.count_records(place(data), place(offsets), table, runs.new_runs(), seen, 0)
        found = count.finish_counting(table, found, seen)
        size, used = found.sizes[0], found.sizes[1]
        yield found.text[:used], found.rows[:size], found.sizes


def decode_case(place: Place) -> Iterator[Any]:
    tokenizer = Tokenizer.load()
    tables = place(tokenizer._column_encoder._texts)
    for column in texts():
        ids = tokenizer.encode_column(column)
        offsets = ids.offsets.to_numpy().astype(np.int64)
        yield decode.decode_records(place(ids.flatten().to_numpy()), place(offsets), *tables)


def product_case(place: Place) -> Iterator[Any]:
    for rows, inputs, outputs in [(1, 5, 3), (1, 64, 130), (3, 65, 64), (9, 200, 70), (130, 113, 129)]:
        matrix, x = numbers(outputs, inputs), place(numbers(rows, inputs))
        for kind in (np.float32, np.int16, np.uint16):
            whole = (matrix * (1 if kind == np.float32 else 100)).astype(kind)
            packed = place(np.zeros(padded(outputs) * inputs, kind))
            matmul.pack(whole, packed)
            if kind == np.uint16:
                packed &= 0x3FFF  # numbers of bfloat16 that are finite
            out = place(np.zeros((rows, padded(outputs)), np.float32))
            matmul.product(packed, x, out[:, :outputs])
            yield out
        stored, scales = quantize(matrix)
        packed = place(np.zeros(padded(outputs) * matmul_int8.paired(inputs), np.int8))
        matmul_int8.pack_pairs(stored, packed)
        scales = place(np.append(scales, np.zeros(padded(outputs) - outputs, np.float32)))
        out = place(np.zeros((rows, padded(outputs)), np.float32))
        matmul_int8.int8_product(packed, scales, x, out[:, :outputs])
        yield out


def attention_case(place: Place) -> Iterator[Any]:
    for rows, d_model in [(1, 64), (3, 100), (5, 128)]:
        width = padded(d_model)
        x, y = numbers(rows, width), numbers(rows, width)
        x[:, d_model:] = 0
        out = place(np.zeros((rows, width), np.float32))
        attention.normalize(place(x), place(numbers(width)), d_model, np.float32(1e-6), out)
        yield out
        x = place(x)
        attention.add(x, place(y), d_model)
        yield x
        for gated in (0, 1, 2):
            both = place(numbers(rows, (2 if gated else 1) * width))
            attention.activate(both, width, gated)
            yield both
    for rows, keys, d_kv in [(1, 1, 16), (2, 70, 64), (3, 64, 80)]:
        capacity = padded(keys)
        for kind in (np.float32, np.int16):
            stored = place(np.zeros(capacity * d_kv, kind)), place(np.zeros(capacity * padded(d_kv), kind))
            size = capacity if kind == np.int16 else 0
            scales = place(np.zeros(size, np.float32)), place(np.zeros(size, np.float32))
            attention.write_keys(place(numbers(keys, d_kv)), stored[0], scales[0], 0)
            attention.write_values(place(numbers(keys, d_kv)), stored[1], scales[1], 0, capacity)
            bias, scores = place(numbers(rows - 1 + capacity)), place(np.zeros((rows, capacity), np.float32))
            out = place(np.zeros((rows, padded(d_kv)), np.float32))
            q = place(numbers(rows, d_kv))
            attention.attend(q, *stored, *scales, keys, capacity, bias, rows - 1, scores, out[:, :d_kv])
            yield out


def argmax_case(place: Place) -> Iterator[Any]:
    for ids, d_model in [(64, 64), (130, 128)]:
        head = numbers(ids, d_model)
        packed = place(np.zeros(padded(ids) * d_model, np.float32))
        matmul.pack(head, packed)
        screen = place(pack_screen(head, "float32"))
        y, buffer = place(numbers(1, d_model)), place(np.zeros((1, padded(ids)), np.float32))
        yield argmax.best(y, d_model, packed, *screen, ids, buffer)
    x, y = place(numbers(77)), place(np.zeros(77, np.float32))
    dropout.drop(x, y, 5, 1 << 30)
    yield y


def model_case(place: Place) -> Iterator[Any]:
    """The whole model, its weights, embedding, biases and buffers against the page."""
    checkpoint = Checkpoint.load(shipped("models/es-tiny"))
    ids = np.array(Tokenizer(checkpoint.vocabulary).encode("los archivos del directorio"), np.int64)
    for precision in ("int8", "bfloat16", "float32"):
        backend = CpuBackend(checkpoint, precision)
        backend._decoder, backend._encoder = place(backend._decoder), place(backend._encoder)
        backend._table = place(backend._table)
        if backend._screen is not None:
            backend._screen = place(backend._screen)
        for batch in ([ids[:1]], [ids], [ids, ids[:3], ids[:2]]):
            state = backend.start([row.tolist() for row in batch], 5)
            state._bias, state._cache, state._memory = map(place, (state._bias, state._cache, state._memory))
            state._buffers, state._logits = place(state._buffers), place(state._logits)
            last = np.zeros(len(batch), np.int64)
            for _ in range(5):
                last = state.best(place(last))
                yield last.copy()


def planted_case(place: Place) -> Iterator[Any]:
    """A load one byte beyond: the guard must be felt."""
    data = place(np.arange(8, dtype=np.uint8))
    yield memory.equal_bytes(data, 1, data, 1, 8)


CASES = {name.removesuffix("_case"): case for name, case in list(globals().items()) if name.endswith("_case")}


def same(left: Any, right: Any) -> bool:
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return np.array_equal(left, right, equal_nan=isinstance(left, np.ndarray) and left.dtype.kind == "f")


def main(names: list[str]) -> None:
    for name in names:
        print(name, flush=True)
        expected = list(CASES[name](lambda arrays: arrays))
        for place in (at_the_end, at_the_start):
            found = list(CASES[name](place))
            assert len(found) == len(expected) > 0
            assert all(map(same, found, expected)), f"{name}: other results {place.__name__}"
    print("done")


if __name__ == "__main__":
    main(sys.argv[1:] or [name for name in CASES if name != "planted"])
