#!/usr/bin/env python3
"""Converts a file of `torch.save` for `--weights`, with the standard library alone.

python3 python/tools/to_safetensors.py resnet50.pth resnet50.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "source",
        type=Path,
        help="a state dictionary, or a checkpoint that holds one under " + ", ".join(torch_file.KEYS),
    )
    parser.add_argument("target", type=Path, help="the safetensors file to write")
    options = parser.parse_args()
    try:
        with options.source.open("rb") as file:
            tensors = torch_file.read(file)
        torch_file.write_safetensors(options.target, tensors, {})
    except (torch_file.Unreadable, OSError) as error:
        sys.exit(f"{options.source} was not converted: {error}")
    print(f"{len(tensors)} tensors in {options.target}")


if __name__ == "__main__":
    main()
