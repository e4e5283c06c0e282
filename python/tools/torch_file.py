"""Tensors out of the files of `torch.save`, and into safetensors, with the standard library alone.

Installing PyTorch for one conversion costs 5 GB. Both of its formats are read: the archive (a zip of a
pickle and one file a storage) and the one from before 1.6 (pickles, then all storages). A pickle is a
program, so this one runs under an interpreter that knows tensors, parameters and dictionaries of them;
what other objects a checkpoint holds beside its tensors (options, optimisers, whole models) is stepped
over: an empty object stands for each, and no code of theirs is looked up, let alone run. Tensors come out
contiguous whatever their strides were.
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
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
# Where checkpoints of trainings keep their tensors, the first that one has.
KEYS = ("state_dict", "model_state_dict", "params_ema", "params", "model", "network")
# How names of what makes a tensor begin.
TENSORS = ("torch._", "torch.Tensor")
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


class Foreign:
    """Stands for an object of any other class and takes all that a pickle does to one."""

    kind = "an object"

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def __new__(cls, *_arguments: object, **_named: object) -> Foreign:
        return object.__new__(cls)

    def __call__(self, *_arguments: object, **_named: object) -> Foreign:
        return Foreign()

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _value: object) -> None:
        pass

    extend = add = append


def foreign(module: str, name: str) -> type[Foreign]:
    return type("Foreign", (Foreign,), {"kind": f"{module}.{name}"})


def rebuild_tensor(
    storage: object, offset: int, shape: tuple, strides: tuple, *_rest: object
) -> View | Foreign:
    if not isinstance(storage, Storage):
        return foreign("torch", "Tensor of another kind")()
    return View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def rebuild_parameter(tensor: View, *_rest: object) -> View:
    return tensor


def rebuild_with_attributes(
    rebuild: Callable, _kind: object, arguments: tuple, _attributes: object
) -> object:
    return rebuild(*arguments)


class Interpreter(pickle.Unpickler):
    """Knows tensors and dictionaries of them."""

    KNOWN: dict[tuple[str, str], Callable] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
        ("torch._tensor", "_rebuild_from_type_v2"): rebuild_with_attributes,
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in KINDS:
            return name
        return self.KNOWN.get((module, name)) or foreign(module, name)

    def persistent_load(self, identity: object) -> object:
        match identity:
            case ("storage", str(name), str(key), _, int(count), *_) if name in KINDS:
                kind, width = KINDS[name]
                return self.storages.setdefault(key, Storage(kind, width, key, count))
            case ("module", type() as kind, *_):
                return kind
        return Foreign()


def some_of(names: list[str]) -> str:
    """The first five of the names, shortened."""
    first = [name if len(name) <= 40 else name[:39] + "…" for name in names[:5]]
    return ", ".join(first + ["…"] * (len(names) > 5))


def views(state: object) -> dict[str, View]:
    """The tensors of a state dictionary, or of the one in a training's checkpoint."""
    where = "it"
    while isinstance(state, dict):
        key = next((key for key in KEYS if isinstance(state.get(key), (dict, Foreign))), None)
        if key is None or (isinstance(state[key], Foreign) and tensors_of(state)):
            break
        state, where = state[key], f"its '{key}'"
    if isinstance(state, Foreign):
        raise Unreadable(
            f"{where} is a whole object ({state.kind[:80]}), which only its own program can load; save "
            "the state_dict() of the model there"
        )
    if not isinstance(state, dict):
        raise Unreadable(f"{where} is a {type(state).__name__}, expected a dictionary of tensors")
    found = tensors_of(state)
    if not found:
        raise Unreadable(
            f"{where} holds no tensors by name; its keys are: {some_of([str(key) for key in state])}"
        )
    others = {str(name): value.kind for name, value in state.items() if isinstance(value, Foreign)}
    strange = [name for name, kind in others.items() if kind.startswith(TENSORS)]
    if strange:
        raise Unreadable(
            f"{where} holds tensors of a kind that is not read (quantised, sparse, complex): "
            + some_of(strange)
        )
    return found


def tensors_of(state: dict) -> dict[str, View]:
    return {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, View)}


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
    packed = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if strides == packed or count <= 1:
        chosen = values[view.offset : view.offset + count]
    else:
        # Whole lines along the longest axis; Python is slow, slices are not.
        line = max(range(len(shape)), key=lambda axis: shape[axis])
        chosen = array(BITS[width], bytes(width * count))
        others = [range(1) if axis == line else range(side) for axis, side in enumerate(shape)]
        for index in product(*others):
            source = view.offset + sum(i * stride for i, stride in zip(index, strides))
            target = sum(i * stride for i, stride in zip(index, packed))
            length, step = shape[line], strides[line]
            taken = (
                values[source : source + (length - 1) * step + 1 : step]
                if step
                else values[source : source + 1] * length
            )
            chosen[target : target + (length - 1) * packed[line] + 1 : packed[line]] = taken
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
    interpreter = Interpreter(file)
    described = views(interpreter.load())
    keys = part()
    storages = interpreter.storages
    wanted = {view.storage.key for view in described.values()}
    held = {}
    for key in keys if isinstance(keys, list) else refuse("it has no list of storages"):
        (count,) = struct.unpack("<q", exactly(file, 8))
        if key not in storages:
            raise Unreadable(f"storage {key} is of no tensor that is read, so its size is unknown")
        data = exactly(file, count * storages[key].width)
        if key in wanted:
            held[key] = data
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
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
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
