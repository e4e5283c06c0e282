"""Tensors out of the files of `torch.save`, and into safetensors, with the standard library alone.

Installing PyTorch for one conversion costs 5 GB. Both of its formats are read: the archive (a zip of a
pickle and one file a storage) and the one from before 1.6 (pickles, then all storages). A pickle is a
program, so this one runs under an interpreter that knows tensors, parameters and dictionaries of them
and refuses every other name. Tensors come out contiguous whatever their strides were.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import zipfile
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import BinaryIO, Callable, NoReturn

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
# PyTorch's storages: safetensors' name of the kind, bytes an element.
KINDS = {
    "FloatStorage": ("F32", 4), "DoubleStorage": ("F64", 8), "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1), "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1),
}
# Array kinds that hold so many bytes; only bits are moved.
BITS = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Unreadable(Exception):
    """Why a file does not serve."""


@dataclass(frozen=True)
class Storage:
    """Elements in memory that tensors are views of."""

    kind: str
    width: int
    key: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor as the pickle describes it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor: safetensors' name of its kind, and its elements row by row, lowest byte first."""

    kind: str
    shape: tuple[int, ...]
    data: bytes


def rebuild_tensor(storage: Storage, offset: int, shape: tuple, strides: tuple, *_rest: object) -> View:
    if not isinstance(storage, Storage):
        raise Unreadable("a tensor has no storage")
    return View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def rebuild_parameter(tensor: View, *_rest: object) -> View:
    return tensor


class Interpreter(pickle.Unpickler):
    """Knows tensors and dictionaries of them."""

    KNOWN: dict[tuple[str, str], Callable] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    }

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in KINDS:
            return name
        known = self.KNOWN.get((module, name))
        if known is None:
            raise Unreadable(f"the pickle asks for {module}.{name}; only tensors are read")
        return known

    def persistent_load(self, identity: object) -> Storage:
        match identity:
            case ("storage", str(name), str(key), _, int(count), *_):
                kind, width = KINDS[name]
                return Storage(kind, width, key, count)
        raise Unreadable(f"the pickle refers to {identity!r}; only storages are read")


def views(state: object) -> dict[str, View]:
    """The tensors of a state dictionary, or of the one in a training's checkpoint."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise Unreadable(f"it holds a {type(state).__name__}, expected a dictionary of tensors")
    found = {name: value for name, value in state.items() if isinstance(value, View)}
    if not found or not all(isinstance(name, str) for name in found):
        raise Unreadable("it holds no tensors by name")
    return found


def elements(view: View, raw: bytes) -> bytes:
    """The view's elements in row-major order."""
    width, shape, strides = view.storage.width, view.shape, view.strides
    values = array(BITS[width])
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    reach = view.offset + sum((side - 1) * stride for side, stride in zip(shape, strides))
    if len(shape) != len(strides) or min(shape + strides + (view.offset,)) < 0:
        raise Unreadable("a tensor has impossible sizes")
    count = prod(shape)
    if count and reach >= len(values):
        raise Unreadable("a tensor reaches beyond its storage")
    packed = tuple(prod(shape[axis + 1:]) for axis in range(len(shape)))
    if strides == packed or count <= 1:
        chosen = values[view.offset:view.offset + count]
    else:
        # Whole lines along the longest axis; Python is slow, slices are not.
        line = max(range(len(shape)), key=lambda axis: shape[axis])
        chosen = array(BITS[width], bytes(width * count))
        others = [range(1) if axis == line else range(side) for axis, side in enumerate(shape)]
        for index in product(*others):
            source = view.offset + sum(i * stride for i, stride in zip(index, strides))
            target = sum(i * stride for i, stride in zip(index, packed))
            length, step = shape[line], strides[line]
            taken = values[source:source + (length - 1) * step + 1:step] if step else values[source:source + 1] * length
            chosen[target:target + (length - 1) * packed[line] + 1:packed[line]] = taken
    if sys.byteorder == "big":
        chosen.byteswap()
    return chosen.tobytes()


def from_archive(file: BinaryIO) -> dict[str, Tensor]:
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Unreadable("it is a zip, but not one of torch.save")
        root = pickles[0].removesuffix("data.pkl")
        if root + "byteorder" in archive.namelist() and archive.read(root + "byteorder") != b"little":
            raise Unreadable("it was written on a big-endian machine")
        with archive.open(pickles[0]) as stream:
            described = views(Interpreter(stream).load())

        def load(name: str, view: View) -> Tensor:
            raw = archive.read(f"{root}data/{view.storage.key}")
            return tensor(name, view, raw)

        return {name: load(name, view) for name, view in described.items()}


def from_pickles(file: BinaryIO) -> dict[str, Tensor]:
    def part() -> object:
        return Interpreter(file).load()

    if part() != MAGIC or part() != PROTOCOL:
        raise Unreadable("it is a pickle, but not one of torch.save")
    system = part()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Unreadable("it was written on a big-endian machine")
    described = views(part())
    keys = part()
    storages = {view.storage.key: view.storage for view in described.values()}
    held = {}
    for key in keys if isinstance(keys, list) else refuse("it has no list of storages"):
        count, = struct.unpack("<q", exactly(file, 8))
        if key not in storages:
            raise Unreadable(f"storage {key} is of no tensor, so its size is unknown")
        held[key] = exactly(file, count * storages[key].width)
    return {name: tensor(name, view, held.get(view.storage.key, b"")) for name, view in described.items()}


def refuse(reason: str) -> NoReturn:
    raise Unreadable(reason)


def exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count) if count >= 0 else b""
    if len(data) != count:
        raise Unreadable("it is cut short")
    return data


def tensor(name: str, view: View, raw: bytes) -> Tensor:
    try:
        return Tensor(view.storage.kind, view.shape, elements(view, raw))
    except (Unreadable, ValueError) as error:
        raise Unreadable(f"tensor {name}: {error}") from error


def read(file: BinaryIO) -> dict[str, Tensor]:
    """All tensors of an open file of `torch.save`, by name.

    Raises `Unreadable` with the reason where there is any other thing in it.
    """
    start = file.read(4)
    file.seek(0)
    try:
        return from_archive(file) if start == b"PK\x03\x04" else from_pickles(file)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, IndexError, TypeError) as error:
        raise Unreadable(f"it is damaged, or no file of torch.save ({error})") from error


def write_safetensors(target: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Writes tensors in the order of their names; the file appears whole or not at all."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **about}}
    end = 0
    for name, own in sorted(tensors.items()):
        start, end = end, end + len(own.data)
        header[name] = {"dtype": own.kind, "shape": list(own.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = target.with_name(target.name + ".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for _, own in sorted(tensors.items()):
            stream.write(own.data)
    os.replace(partial, target)
