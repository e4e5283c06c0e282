"""Loss files: versioned JSON with the text form of each branch and what its inputs are."""

import codecs
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

#: The newest version of the format that is read.
SCHEMA = 1

ACTIVATIONS = ("softmax", "sigmoid", "identity", "boxes")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class LossFileError(ValueError):
    """A file that is no loss file, or lacks what was asked for."""


@dataclass(frozen=True)
class Input:
    """An input of a loss."""

    name: str
    prediction: bool = False
    #: Whether its values are 0 and 1.
    binary: bool = False


@dataclass(frozen=True)
class Convention:
    """What the inputs of a branch are."""

    inputs: List[Input]
    activation: str
    void_label: Optional[int] = None


@dataclass(frozen=True)
class LossFile:
    """A loss file; branches whose loss a plugin computes begin with '@'."""

    task: str
    branches: Dict[str, str]
    name: Optional[str] = None
    conventions: Dict[str, Convention] = field(default_factory=dict)
    provenance: Dict[str, Any] = field(default_factory=dict)
    scales: Dict[str, float] = field(default_factory=dict)


def read(source: Union[str, "os.PathLike[str]", Mapping[str, Any]]) -> LossFile:
    """Reads a loss file, or what JSON made of one."""
    if isinstance(source, Mapping):
        return _checked(source, "the loss file")
    path = Path(source)
    try:
        content = json.loads(_text(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise LossFileError(f"{path} is no loss file: {error}") from error
    return _checked(content, str(path))


def _text(content: bytes) -> str:
    first = [byte == 0 for byte in content[:4]]
    unmarked = first in ([True, False] * 2, [False, True] * 2)
    if unmarked or content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise ValueError("it is UTF-16 text, and UTF-8 is expected: save it as UTF-8")
    return content.decode("utf-8-sig")


def convention(file: LossFile, branch: str) -> Convention:
    """What the inputs of a branch are; told by their names where the file does not say."""
    if branch in file.conventions:
        return file.conventions[branch]
    names = set(re.findall(r"[A-Za-z_]\w*(?!\w)(?!\s*\()", file.branches[branch]))
    if names and names <= {"i", "u", "e"}:
        return Convention([Input(name, True) for name in ("i", "u", "e")], "boxes")
    return Convention([Input("yhat", True), Input("y", binary=True)], "softmax")


def _checked(content: Any, where: str) -> LossFile:
    def fail(what: str) -> LossFileError:
        return LossFileError(f"{where} is no loss file: {what}")

    if not isinstance(content, Mapping):
        raise fail("it holds no object")
    schema = content.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise fail("it has no whole number 'schema'")
    if schema > SCHEMA:
        raise LossFileError(
            f"{where} has schema {schema}, this version reads up to {SCHEMA}: update autoloss"
        )
    branches = content.get("branches")
    if not isinstance(branches, Mapping) or not branches:
        raise fail("it has no object 'branches' with a branch")
    if not all(isinstance(text, str) for text in branches.values()):
        raise fail("a branch is not a text")
    task, name = content.get("task"), content.get("name")
    if not isinstance(task, str):
        raise fail("it has no text 'task'")
    if name is not None and not isinstance(name, str):
        raise fail("its 'name' is not a text")
    conventions = content.get("conventions", {})
    provenance = content.get("provenance", {})
    scales = content.get("scales", {})
    if not isinstance(scales, Mapping) or not all(_is_scale(scale) for scale in scales.values()):
        raise fail("'scales' is no object of numbers above 0")
    if not isinstance(conventions, Mapping) or not isinstance(provenance, Mapping):
        raise fail("'conventions' and 'provenance' are objects")
    return LossFile(
        task=task,
        branches=dict(branches),
        name=name,
        conventions={branch: _convention(entry, branch, fail) for branch, entry in conventions.items()},
        provenance=dict(provenance),
        scales={branch: float(scale) for branch, scale in scales.items()},
    )


def _is_scale(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < float("inf")


def _convention(entry: Any, branch: str, fail: Any) -> Convention:
    if not isinstance(entry, Mapping):
        raise fail(f"the convention of branch {branch!r} is no object")
    activation = entry.get("activation")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise fail(f"the activation of branch {branch!r} is {activation!r} (there are: {known})")
    inputs = entry.get("inputs")
    if isinstance(inputs, Mapping):
        # A list without neighbours.
        inputs = inputs.get("list_of")
    if not isinstance(inputs, list) or not inputs:
        raise fail(f"branch {branch!r} has no list of inputs")
    void_label = entry.get("void_label")
    if void_label is not None and (isinstance(void_label, bool) or not isinstance(void_label, int)):
        raise fail(f"the void label of branch {branch!r} is no whole number")
    return Convention([_input(one, branch, fail) for one in inputs], activation, void_label)


def _input(entry: Any, branch: str, fail: Any) -> Input:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    if not isinstance(name, str) or not _NAME.match(name):
        raise fail(f"an input of branch {branch!r} has no name")
    return Input(name, entry.get("prediction") is True, entry.get("values") == "binary")
