"""Random changes of files: of their bytes, or of what the bytes mean, so that the checks of content are reached.

A change takes a path and a `random.Random`. It changes bytes, or JSON, rows of text, TOML, tables, arrays, tensors,
a model of pieces, or what is compressed.
"""

import csv
import gzip
import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Change = Callable[[Path, random.Random], None]

VALUES: list[Any] = [
    None, -1, 0, 1, 1 << 40, 10**30, 1.5, math.nan, math.inf, "", "x", "..", "\0", "9" * 400, [], {}, [[1]], {"a": []},
    True,
]  # fmt: skip
CELLS = [
    "",
    "x",
    "-1",
    "1e400",
    "nan",
    "\0",
    '"',
    '""',
    "\ufeff",
    "a\tb",
    "a,b",
    "a\nb",
    "9" * 400,
    "[]",
    "null",
]
TYPES = [pa.int8(), pa.uint64(), pa.float32(), pa.string(), pa.binary(), pa.list_(pa.int64()), pa.null()]
KINDS = ["F32", "F16", "BF16", "I8", "I64", "F8_E4M3", "x"]


def change_bytes(path: Path, draw: random.Random) -> None:
    """Change, cut, double or insert bytes."""
    path.write_bytes(changed_bytes(path.read_bytes(), draw))


def changed_bytes(content: bytes, draw: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 4])):
        if not data:
            break
        place, length = draw.randrange(len(data)), draw.choice([1, 1, 2, 8, 64])
        kind = draw.randrange(5)
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place : place + length] = draw.choice([b"\0", b"\xff", b"7", b'"', b"\n"]) * length
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            del data[place : place + length]
        else:
            data[place:place] = data[place : place + length]
    return bytes(data)


def change_json(path: Path, draw: random.Random) -> None:
    """Put another value at a place of a JSON file, or take it away."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(changed_value(content, draw)), encoding="utf-8")


def changed_value(content: Any, draw: random.Random) -> Any:
    """Return JSON with another value at a place, or without it; numbers change by a little or by much."""
    root: dict[str, Any] = {"": content}
    holder: Any = root
    name: Any = ""
    while isinstance(holder[name], dict | list) and holder[name] and draw.random() < 0.85:
        holder = holder[name]
        name = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    value = holder[name]
    kind = draw.random()
    if kind < 0.2 and name != "":
        del holder[name]
    elif kind < 0.4 and type(value) in (int, float):
        holder[name] = draw.choice([value + 1, value - 1, -value, value * 2, value * 1000])
    elif kind < 0.5 and isinstance(value, list) and value:
        holder[name] = draw.choice([value[::-1], value + value[:1], value[:-1]])
    else:
        holder[name] = draw.choice(VALUES)
    return root[""]


def change_rows_of_json(path: Path, draw: random.Random) -> None:
    """Change a value in a row of JSON lines, or the rows."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if draw.random() < 0.3:
        path.write_bytes(encoded("\n".join(moved(lines, draw)) + "\n", draw))
        return
    place = draw.randrange(len(lines))
    lines[place] = json.dumps(changed_value(json.loads(lines[place]), draw), ensure_ascii=draw.random() < 0.5)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def change_cells(path: Path, draw: random.Random) -> None:
    """Change the cells of a file of CSV or TSV: their number, their quotes, what they hold."""
    separator = "\t" if path.suffix == ".tsv" else ","
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), delimiter=separator))
    kind = draw.randrange(4)
    row = rows[draw.randrange(len(rows))]
    if kind == 0:
        row[draw.randrange(len(row))] = draw.choice(CELLS)
    elif kind == 1:
        row.insert(draw.randrange(len(row) + 1), draw.choice(CELLS))
    elif kind == 2:
        del row[draw.randrange(len(row))]
    else:
        rows = moved(rows, draw)
    out = io.StringIO(newline="")
    end = draw.choice(["\n", "\r\n"])
    if draw.random() < 0.3:  # nothing is quoted that should be
        out.write(end.join(separator.join(row) for row in rows))
    else:
        ways = (
            csv.writer(out, delimiter=separator, lineterminator=end),
            csv.writer(out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL),
        )
        draw.choice(ways).writerows(rows)
    path.write_bytes(encoded(out.getvalue(), draw))


def change_lines(path: Path, draw: random.Random) -> None:
    """Change the lines of a text: their order, their ends, what one holds, the encoding."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if draw.random() < 0.5:
        place = draw.randrange(len(lines))
        lines[place] = draw.choice([*CELLS, lines[place] * 50, "\u0301" * 99, "\x85".join(lines[place])])
    else:
        lines = moved(lines, draw)
    path.write_bytes(encoded(draw.choice(["\n", "\r\n", "\r", "\n\n"]).join(lines), draw))


def change_toml(path: Path, draw: random.Random) -> None:
    """Put another value at an entry of a TOML file, or take it away, or double it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [place for place, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    place = draw.choice(places)
    name = lines[place].partition("=")[0]
    kind = draw.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    else:
        values = [
            "-1",
            "0",
            "1e30",
            "nan",
            '""',
            '"x"',
            "[]",
            "{}",
            "true",
            "1979-05-27",
            "[1, 'a']",
            "9" * 30,
        ]
        lines[place] = f"{name}= {draw.choice(values)}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def moved(rows: list[Any], draw: random.Random) -> list[Any]:
    """Return rows in another order, without some, or with some twice or empty."""
    place, kind = draw.randrange(len(rows)), draw.randrange(5)
    if kind == 0:
        return rows[:place]
    if kind == 1:
        return rows[place:] + rows[:place]
    if kind == 2:
        return rows + rows[place:]
    if kind == 3:
        return [*rows[:place], type(rows[0])(), *rows[place:]]
    return [*rows[:1], *draw.sample(rows[1:], len(rows) - 1)]


def encoded(text: str, draw: random.Random) -> bytes:
    """Return a text as bytes, mostly of UTF-8."""
    return text.encode(
        draw.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"]), "replace"
    )


def change_table(path: Path, draw: random.Random) -> None:
    """Change the columns of a Parquet file: types, order, names, rows, values that are missing."""
    table = pq.read_table(path)
    place = draw.randrange(table.num_columns)
    column = table.column(place)
    kind = draw.randrange(7)
    if kind == 0:
        table = table.remove_column(place)
    elif kind == 1:
        table = table.rename_columns([draw.choice(["x", *table.column_names]) for _ in table.column_names])
    elif kind == 2:
        table = pa.concat_tables([table.slice(draw.randrange(max(1, len(table)))), table.slice(0, 3)])
    elif kind == 3:
        table = table.set_column(place, table.column_names[place], pa.nulls(len(table), draw.choice(TYPES)))
    elif kind == 4:
        order = list(range(len(table)))
        draw.shuffle(order)
        table = table.set_column(place, table.column_names[place], column.take(pa.array(order)))
    elif kind == 5 and pa.types.is_integer(column.type) and len(column):
        values = column.to_pylist()
        values[draw.randrange(len(values))] = draw.choice([None, 0, 127])
        table = table.set_column(place, table.column_names[place], pa.array(values, column.type))
    else:
        table = table.replace_schema_metadata(
            {b"spanish-tok": draw.choice([b"", b"[]", b"\xff", b"{}", b"7"])}
        )
    pq.write_table(table, path)


def change_array(path: Path, draw: random.Random) -> None:
    """Change the type, the length, the order or a value of a .npy file."""
    array = np.load(path)
    kind = draw.randrange(6)
    if kind == 0:
        array = array.astype(draw.choice([np.int8, np.uint32, np.int64, np.float64, ">u2", ">i8"]))
    elif kind == 1:
        array = array[: draw.randrange(len(array))]
    elif kind == 2:
        array = array[::-1].copy()
    elif kind == 3:
        array = array.reshape(1, -1)
    elif kind == 4:
        array = array.astype(object)
    else:
        array[draw.randrange(len(array))] = draw.randrange(1 << 15)
    with open(path, "wb") as file:
        np.save(file, array)


def change_tensors(path: Path, draw: random.Random) -> None:
    """Change the header of a safetensors file: names, types, shapes, places, metadata; or some numbers."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    names = [name for name in header if name != "__metadata__"]
    one, other = draw.choice(names), draw.choice(names)
    kind = draw.randrange(8)
    if kind == 0:
        header = changed_value(header, draw)
    elif kind == 1:
        header[one], header[other] = header[other], header[one]
    elif kind == 2:
        header[one]["dtype"] = draw.choice(KINDS)
    elif kind == 3:
        shape = header[one]["shape"]
        header[one]["shape"] = draw.choice(
            [shape[::-1], [*shape, 1], [1, *shape], [math.prod(shape)], [1] * 70]
        )
    elif kind == 4:
        header[f"{one}x"] = header.pop(one)
    elif kind == 5:
        header["none"] = {
            "dtype": "F32",
            "shape": draw.choice([[0], [0, 10**30], [0] * 40]),
            "data_offsets": [0, 0],
        }
    elif kind == 6 and "notes" in header.get("__metadata__", {}):
        notes = json.loads(header["__metadata__"]["notes"])
        header["__metadata__"]["notes"] = json.dumps(changed_value(notes, draw))
    else:
        begin, end = header[one]["data_offsets"]
        size = {"F32": 4, "I64": 8}.get(header[one]["dtype"], 1)
        width = size * draw.choice([1, max(1, (end - begin) // size)])
        numbers[begin : begin + width] = draw.choice([b"\xff", b"\0", b"\x7f"]) * min(width, end - begin)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def change_pieces(path: Path, draw: random.Random) -> None:
    """Change a SentencePiece model: its pieces, their scores and kinds, its options, its normalization."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto.FromString(path.read_bytes())
    pieces = model.pieces
    place, kind = draw.randrange(len(pieces)), draw.randrange(9)
    piece = pieces[place]
    if kind == 0:
        piece.piece = draw.choice(
            [pieces[draw.randrange(len(pieces))].piece, "▁" + "a" * 70_000, "\u2581\u2581", "A", "<x>"]
        )
    elif kind == 1:
        piece.score = draw.choice([0.0, 1e30, -1e30, math.nan, math.inf, -0.1, 3.5])
    elif kind == 2:
        piece.type = draw.choice([1, 2, 3, 4, 5, 6])
    elif kind == 3:
        del pieces[place : place + draw.choice([1, 1, len(pieces)])]
    elif kind == 4:
        pieces.add().CopyFrom(piece)
    elif kind == 5:
        names = [
            "unk_id",
            "bos_id",
            "eos_id",
            "pad_id",
            "byte_fallback",
            "model_type",
            "treat_whitespace_as_suffix",
        ]
        setattr(model.trainer_spec, draw.choice(names), draw.choice([1, 2, 3]))
    elif kind == 6:
        names = ["add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"]
        setattr(model.normalizer_spec, draw.choice(names), False)
    elif kind == 7:
        charsmap = model.normalizer_spec.precompiled_charsmap
        model.normalizer_spec.precompiled_charsmap = draw.choice([b"", changed_bytes(charsmap, draw)])
    else:
        model.denormalizer_spec.precompiled_charsmap = model.normalizer_spec.precompiled_charsmap
    path.write_bytes(model.SerializeToString())


def change_compressed(path: Path, draw: random.Random) -> None:
    """Change what a gzip file holds, and into how many members it is cut."""
    inner = path.with_name("inner.txt")
    inner.write_bytes(gzip.decompress(path.read_bytes()))
    draw.choice([change_bytes, change_lines])(inner, draw)
    content = inner.read_bytes()
    inner.unlink()
    cut = draw.randrange(len(content) + 1)
    members = gzip.compress(content[:cut]), gzip.compress(content[cut:])
    padding = draw.choice([b"", b"", b"\0" * 9, b"x", gzip.compress(b"")])
    path.write_bytes(draw.choice([b"".join(members), gzip.compress(content)]) + padding)
