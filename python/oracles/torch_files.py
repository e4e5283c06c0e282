#!/usr/bin/env python3
"""Oracle of `python/tools/torch_file.py`, which reads files of `torch.save` without PyTorch.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python torch_files.py           # writes the fixtures of the Rust test
    venv/bin/python torch_files.py --check   # compares, and checks the committed ones

PyTorch writes tensors of every kind, with strides of every sort, sharing storages, as archive and in the
format before 1.6; what the reader makes of them must be what PyTorch holds, to the last bit. What is no
tensor must be refused.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "tools"))
import torch_file  # noqa: E402

FIXTURES = ROOT / "plugins" / "vision" / "tests" / "fixtures"
# libtorch itself reads archives of plain dictionaries alone.
WRITTEN = {
    "small.pt": dict,
    "small_ordered.pt": OrderedDict,
    "small_checkpoint.pt": lambda state: checkpoint("model", state),
}


def small() -> dict[str, torch.Tensor]:
    return {
        "encoder.conv1.bias": torch.ones(3),
        "encoder.bn1.weight": torch.ones(4),
        "encoder.bn1.num_batches_tracked": torch.tensor(7),
        "decoder.bias": torch.arange(1.0, 6.0),
        "head.bias": torch.ones(6),
    }


def cases() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    base = torch.randn(6, 5, 4, 3)
    built = {
        "contiguous": base,
        "a slice of it": base[2:, 1::2],
        "permuted": base.permute(3, 1, 0, 2),
        "expanded": torch.randn(5, 1).expand(5, 7),
        "scalar": torch.tensor(3.25),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(4, 2).t()),
    }
    built["with an attribute"] = torch.randn(3)
    built["with an attribute"].note = "kept by pickles"
    for kind in (torch.float64, torch.float16, torch.bfloat16):
        built[f"transposed {kind}"] = torch.randn(3, 8).to(kind).t()
    for kind in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        built[f"strided {kind}"] = torch.arange(-20, 20).to(kind)[3::3]
    return built


class Trap:
    """What a pickle may do to whoever loads it: call a function."""

    sprung = False

    def spring(self: object = None) -> None:
        Trap.sprung = True

    def __reduce__(self) -> tuple:
        return Trap.spring, ()


def checkpoint(key: str, state: dict[str, torch.Tensor]) -> dict[str, object]:
    """What trainings save beside their tensors: options, an optimiser's state, objects of any class."""
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    beside = {
        "args": argparse.Namespace(rate=0.1, path=Path("somewhere")),
        "call": print,
        "optimizer": optimizer.state_dict(),
        "schedule": optimizer,
        "random": torch.get_rng_state(),
        "seen": {1, 2},
        "kind": torch.float32,
        "device": torch.device("cpu"),
        "size": torch.Size([3]),
        "counts": Counter("aab"),
        "by_epoch": defaultdict(list, {1: [2]}),
    }
    return {"epoch": 3, **beside, key: OrderedDict(state)}


def stored(state: object, archive: bool) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=archive)
    file.seek(0)
    return file


def compare(expected: dict[str, torch.Tensor], read: dict[str, torch_file.Tensor]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "converted.safetensors"
        torch_file.write_safetensors(target, read, {"source": "test"})
        converted = load_file(target)
    assert converted.keys() == expected.keys(), converted.keys() ^ expected.keys()
    for name, tensor in expected.items():
        found = converted[name]
        assert found.dtype == tensor.dtype and torch.equal(found, tensor), name
    return len(expected)


def refused(file: io.BytesIO, word: str) -> None:
    try:
        torch_file.read(file)
    except torch_file.Unreadable as error:
        assert word in str(error), error
    else:
        raise AssertionError(f"a file with {word} was read")


def verify() -> int:
    compared = 0
    for archive in (True, False):
        for state in (cases(), {"state_dict": OrderedDict(cases()), "epoch": 3}):
            compared += compare(cases(), torch_file.read(stored(state, archive)))
        for key in torch_file.KEYS:
            compared += compare(cases(), torch_file.read(stored(checkpoint(key, cases()), archive)))
        compared += compare(cases(), torch_file.read(stored({"model": {"state_dict": cases()}}, archive)))
        refused(stored([torch.ones(1)], archive), "list")
        model = {"model": torch.nn.Linear(2, 2), "epoch": 3}
        refused(stored(model, archive), "whole object (torch.nn.modules.linear.Linear)")
        refused(stored(torch.nn.Linear(2, 2), archive), "state_dict() of the model")
        keys = {f"key{index}": index for index in range(9)}
        refused(stored(keys, archive), "keys are: key0, key1, key2, key3, key4, …")
        refused(
            stored({"a": torch.ones(2), "b": torch.ones(2, dtype=torch.complex64)}, archive), "complex): b"
        )
        evil = stored({"state_dict": {"a": torch.ones(1)}, "trap": Trap()}, archive)
        assert torch_file.read(evil).keys() == {"a"} and not Trap.sprung
        whole = stored(cases(), archive).getvalue()
        for part in (3, len(whole) // 2, len(whole) - 8):
            refused(io.BytesIO(whole[:part]), "")
    return compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, check the committed fixtures")
    check = parser.parse_args().check
    compared = verify()
    for name, container in WRITTEN.items():
        if not check:
            FIXTURES.mkdir(parents=True, exist_ok=True)
            torch.save(container(small()), FIXTURES / name)
        with (FIXTURES / name).open("rb") as file:
            compared += compare(small(), torch_file.read(file))
    print(f"{compared} tensors are equal")


if __name__ == "__main__":
    main()
