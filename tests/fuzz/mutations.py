"""Random changes of bytes, of JSON, of tables and of arrays: half of them keep the form and change the content."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

VALUES: list[Any] = [
    None, -1, 0, 1, 1 << 40, 10**30, 1.5, math.nan, "", "x", "..", "\0", "9" * 400, [], {}, [[1]], {"a": []}, True,
]  # fmt: skip
TYPES = [pa.int8(), pa.uint64(), pa.float32(), pa.string(), pa.binary(), pa.list_(pa.int64()), pa.null()]


def change_bytes(path: Path, draw: random.Random) -> None:
    """Change, cut, double or insert bytes."""
    data = bytearray(path.read_bytes())
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
    path.write_bytes(bytes(data))


def change_json(path: Path, draw: random.Random) -> None:
    """Put another value at a place of a JSON file, or take it away."""
    content = json.loads(path.read_text(encoding="utf-8"))
    holder: Any = {"": content}
    name: Any = ""
    while isinstance(holder[name], dict | list) and holder[name] and draw.random() < 0.8:
        holder = holder[name]
        name = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    if draw.random() < 0.2 and name != "":
        del holder[name]
    else:
        if name == "":
            content = draw.choice(VALUES)
        holder[name] = draw.choice(VALUES)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_table(path: Path, draw: random.Random) -> None:
    """Change the columns of a Parquet file: types, order, names, rows, values that are missing."""
    table = pq.read_table(path)
    place = draw.randrange(table.num_columns)
    column = table.column(place)
    kind = draw.randrange(6)
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
    else:
        table = table.replace_schema_metadata(
            {b"spanish-tok": draw.choice([b"", b"[]", b"\xff", b"{}", b"7"])}
        )
    pq.write_table(table, path)


def change_array(path: Path, draw: random.Random) -> None:
    """Change the type, the length, the order or a value of a .npy file."""
    array = np.load(path)
    kind = draw.randrange(5)
    if kind == 0:
        array = array.astype(draw.choice([np.int8, np.uint32, np.int64, np.float64, ">u2", ">i8"]))
    elif kind == 1:
        array = array[: draw.randrange(len(array))]
    elif kind == 2:
        array = array[::-1].copy()
    elif kind == 3:
        array = array.reshape(1, -1)
    else:
        array[draw.randrange(len(array))] = draw.randrange(1 << 15)
    with open(path, "wb") as file:
        np.save(file, array)
