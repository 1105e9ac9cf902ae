"""Damage to the content of files, drawn from a seed."""

import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

Damage = Callable[[bytes, random.Random], bytes]
"""Function of a file's content and a source of random numbers that returns other content."""


def _place(content: bytes, generator: random.Random, longest: int = 512) -> tuple[int, int]:
    """Start and end of a random piece of the content."""
    start = generator.randrange(len(content))
    return start, min(len(content), start + generator.randint(1, longest))


def flip_a_bit(content: bytes, generator: random.Random) -> bytes:
    return _flip(content, generator, 1)


def flip_some_bits(content: bytes, generator: random.Random) -> bytes:
    return _flip(content, generator, generator.randint(2, 20))


def _flip(content: bytes, generator: random.Random, count: int) -> bytes:
    changed = bytearray(content)
    for place in generator.sample(range(8 * len(content)), min(count, 8 * len(content))):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def truncate(content: bytes, generator: random.Random) -> bytes:
    # Often close to the end, where it is noticed last.
    share = generator.choice([0.0, generator.random(), generator.uniform(0.95, 1)])
    return content[: int(share * len(content))]


def zero_a_block(content: bytes, generator: random.Random) -> bytes:
    start, stop = _place(content, generator)
    return content[:start] + bytes(stop - start) + content[stop:]


def overwrite_with_noise(content: bytes, generator: random.Random) -> bytes:
    start, stop = _place(content, generator, 64)
    return content[:start] + generator.randbytes(stop - start) + content[stop:]


def insert_noise(content: bytes, generator: random.Random) -> bytes:
    start, _ = _place(content, generator)
    return content[:start] + generator.randbytes(generator.randint(1, 64)) + content[start:]


def remove_a_block(content: bytes, generator: random.Random) -> bytes:
    start, stop = _place(content, generator)
    return content[:start] + content[stop:]


def repeat_a_block(content: bytes, generator: random.Random) -> bytes:
    start, stop = _place(content, generator)
    return content[:stop] + content[start:stop] * generator.randint(1, 3) + content[stop:]


def splice(content: bytes, generator: random.Random) -> bytes:
    """Copy one piece of the content over another."""
    start, stop = _place(content, generator)
    target = generator.randrange(len(content))
    piece = content[start:stop]
    return content[:target] + piece + content[target + len(piece) :]


def append(content: bytes, generator: random.Random) -> bytes:
    return content + generator.choice([b"\0", b"\n", generator.randbytes(100), content])


DAMAGES: tuple[Damage, ...] = (
    flip_a_bit,
    flip_some_bits,
    truncate,
    zero_a_block,
    overwrite_with_noise,
    insert_noise,
    remove_a_block,
    repeat_a_block,
    splice,
    append,
)
"""Damage to any file."""

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3.5, -0.0, 10**20, -(2**63), 1e308, float("inf"), float("nan"), "", "x",
    "7", "\ud800", "\x1b]0;title\x07\n", "../../etc/passwd", "x" * 100_000, [], [None], {}, {"x": 1},
    "2020-13-45", [[0, 1]], ["a", "a"],
)  # fmt: skip


def _long(generator: random.Random) -> str:
    """Text that no line can quote as a whole: of letters, of what is shown as escapes, of words."""
    return generator.choice(["x", "\u202e", "馬", "x "]) * 100_000


def _changed(value: Any, generator: random.Random) -> Any:
    """A nested value with one of its parts replaced, renamed, removed, added or wrapped."""
    if isinstance(value, dict) and value and generator.random() < 0.8:
        key = generator.choice(list(value))
        action = generator.random()
        if action < 0.7:
            return {**value, key: _changed(value[key], generator)}
        remaining = {name: part for name, part in value.items() if name != key}
        if action < 0.8:
            return remaining
        if action < 0.9:
            return {
                **remaining,
                generator.choice(["x", "", f"{key} ", key.upper(), _long(generator)]): value[key],
            }
        return {**value, "one more": generator.choice(_ODD_VALUES)}
    if isinstance(value, list) and value and generator.random() < 0.8:
        place = generator.randrange(len(value))
        action = generator.random()
        if action < 0.7:
            return [*value[:place], _changed(value[place], generator), *value[place + 1 :]]
        return value[:place] + (value[place + 1 :] if action < 0.85 else value[place:][:1] + value)
    if generator.random() < 0.1:
        for _ in range(generator.choice([1, 50])):
            value = [value]
        return value
    if isinstance(value, int | float) and generator.random() < 0.3:
        return value + generator.choice([1, -1, 0.5])
    return generator.choice(_ODD_VALUES)


def change_json(content: bytes, generator: random.Random) -> bytes:
    """Another value somewhere in a JSON file; or nesting that no parser follows."""
    if generator.random() < 0.02:
        return b"[" * 100_000
    return json.dumps(_changed(json.loads(content), generator)).encode()


def change_a_json_line(content: bytes, generator: random.Random) -> bytes:
    """Another value in a line of a file of JSON lines, or lines in another number or order."""
    lines = content.splitlines()
    place = generator.randrange(len(lines))
    action = generator.random()
    if action < 0.6:
        lines[place] = change_json(lines[place], generator)
    elif action < 0.75:
        del lines[place]
    elif action < 0.9:
        lines.insert(generator.randrange(len(lines) + 1), lines[place])
    else:
        lines.reverse()
    return b"".join(line + b"\n" for line in lines)


def change_yaml(content: bytes, generator: random.Random) -> bytes:
    """Another value somewhere in a YAML file, or what only YAML can say."""
    text = content.decode()
    action = generator.random()
    if action < 0.7:
        return yaml.safe_dump(_changed(yaml.safe_load(text), generator), sort_keys=False).encode()
    lines = text.splitlines()
    place = generator.randrange(len(lines))
    if action < 0.8:
        lines.insert(place, lines[place])
    else:
        odd = generator.choice(
            ["!!int x", "!!python/object:os.system x", "2020-13-45", "12:99:99", "*a", "&a [*a]",
             "0x", "1e999", ".inf", ".nan", "[", "{", "|", "- -", "!!binary x", "!!set {a, b}", "<<: x"]
        )  # fmt: skip
        lines[place] = f"{lines[place].partition(':')[0]}: {odd}"
    return "\n".join(lines).encode()


def change_cells(content: bytes, generator: random.Random) -> bytes:
    """Cells and rows of a CSV file removed, doubled, exchanged, very long, or of odd content."""
    rows = [row.split(",") for row in content.decode().splitlines()]
    for _ in range(generator.randint(1, 3)):
        row = generator.choice(rows)
        place = generator.randrange(len(row)) if row else 0
        action = generator.randrange(6)
        if action == 0 and row:
            del row[place]
        elif action == 1:
            row.insert(
                place, generator.choice(["", '"', '""', "x", "\0", "\x1b[1m", "'", "a,b", "\ufeff"])
            )
        elif action == 2:
            rows.insert(generator.randrange(len(rows)), list(row))
        elif action == 3 and len(rows) > 1:
            rows.remove(row)
        elif action == 4 and row:
            row[place] = _long(generator)
        else:
            generator.shuffle(row)
    ending = generator.choice(["\n", "\r\n", "\r"])
    return ending.join(",".join(row) for row in rows).encode()


def change_arrays(content: bytes, generator: random.Random) -> bytes:
    """A .npz or .npy whose arrays are of other kinds or shapes, or whose members are none."""
    is_npz = content.startswith(b"PK")
    with io.BytesIO(content) as file:
        loaded = np.load(file, allow_pickle=False)
        arrays = {name: loaded[name] for name in loaded.files} if is_npz else {"arr_0": loaded}
    name = generator.choice([name for name in arrays if arrays[name].dtype.kind in "fiu"])
    array = arrays[name]
    arrays[name] = generator.choice(
        [
            array[..., None], array.reshape(-1)[:0], array.reshape(-1), array.astype(np.float16),
            array.astype("U"), array.astype(complex), array.astype(np.int8), array.astype(">f4"),
            array.astype(int).astype("datetime64[s]"), np.array(0),
            np.array([(1, 2)], dtype=[("a", "i4"), ("b", "f8")]), array == 0,
            array.astype(np.float64) * np.nan, array.astype(np.float64) * np.inf, array.T,
            array.astype(object),
        ]
    )  # fmt: skip
    output = io.BytesIO()
    if not is_npz:
        np.save(output, arrays["arr_0"])
        return output.getvalue()
    np.savez(output, **arrays)
    if generator.random() < 0.3:
        with zipfile.ZipFile(output, "a") as members:
            members.writestr(generator.choice(["x.txt", "mu.npy", "a.npy", "../x"]), b"no array")
    return output.getvalue()


def change_columns(content: bytes, generator: random.Random) -> bytes:
    """A parquet file whose labels are of another kind, or whose metadata is changed as JSON is."""
    table = pq.read_table(io.BytesIO(content))
    labels: list[Sequence[Any]] = [
        ["a", "b"], [None, None], [0, 300], [2**62, -5], [0.5, 1.5], [b"\xff", b"x"], [True, False],
        [[0], [1]], ["", "x"], [{"a": 1}, None],
    ]  # fmt: skip
    if generator.random() < 0.5:
        values = generator.choice([*labels, [_long(generator), "b"], ["a", _long(generator)]])
        column = pa.array([values[row % 2] for row in range(len(table))])
        table = table.set_column(
            table.column_names.index("label"),
            generator.choice(["label", "x", _long(generator)]),
            column,
        )
        metadata = dict(table.schema.metadata or {})
    else:
        metadata = dict(table.schema.metadata or {})
        metadata[b"huggingface"] = change_json(metadata[b"huggingface"], generator)
    output = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), output)
    return output.getvalue()


def damaged(
    content: bytes, damages: Sequence[Damage], generator: random.Random
) -> tuple[str, bytes]:
    """The name of a random damage, and the content that it leaves."""
    while True:
        damage = generator.choice(damages)
        changed = damage(content, generator)
        if changed != content:
            return damage.__name__, changed
