#!/usr/bin/env python3
"""Oracle of the backbones of detectors: ResNet-50 with frozen normalisation, and feature pyramids.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python backbones.py           # writes the fixture of the Rust test
    venv/bin/python backbones.py --check   # recomputes it and compares with the committed one

torchvision builds them. No weights are committed: both sides compute them, and the input, from names
(`shared/weights.py`). Compared are a digest of all names, kinds and shapes, the number of trained values, the
maps of all stages and all levels of the pyramid in training, which with frozen normalisation is as in
evaluation, and squared sums of some gradients; for images whose sides are multiples of 32 and others. A
narrow pyramid is compared by itself. All in double precision, so that rounding hides nothing.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from shared.comparison import check_wanted, compare_or_write
from shared.weights import fill, inventory, picture, probed, squared_sums, summary
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

FIXTURE = Path(__file__).resolve().parents[2] / "plugins" / "vision" / "tests" / "fixtures" / "backbones.json"
TOLERANCE = 1e-5
SAMPLES = 16
IMAGES = [(1, 3, 64, 96), (2, 3, 75, 101)]
# torchvision sets it for the detectors whose weights are from before its default was 1e-5.
OTHER_EPSILON = 0.0
# Channels of EfficientNet-Lite0's maps, and what an image of 75x101 leaves of them.
NARROW = {"width": 64, "maps": [(2, 24, 19, 26), (2, 40, 10, 13), (2, 112, 5, 7), (2, 320, 3, 4)]}


def summaries(tensors) -> list[dict]:
    return [summary(tensor, SAMPLES) for tensor in tensors]


def gradients_of(network: torch.nn.Module, outputs: list[torch.Tensor]) -> dict:
    network.zero_grad()
    sum(probed(output, f"probe{index}") for index, output in enumerate(outputs)).backward()
    return squared_sums({name: own.grad for name, own in network.named_parameters()})


def resnet_50() -> dict:
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
    # As a member of a detector.
    network = torch.nn.ModuleDict({"backbone": backbone})
    held = inventory(network)
    fill(network)
    network.train().double()
    measured = []
    for shape in IMAGES:
        maps = backbone.body(picture(shape))
        levels = list(backbone.fpn(maps).values())
        measured.append(
            {
                "image": list(shape),
                "maps": summaries(maps.values()),
                "levels": summaries(levels),
                "gradients": gradients_of(network, levels),
            }
        )
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = OTHER_EPSILON
    with torch.no_grad():
        other = summaries(backbone.body(picture(IMAGES[0])).values())
    return {
        "parameters": sum(own.numel() for own in network.parameters()),
        "inventory": held,
        "measured": measured,
        "other_epsilon": {"epsilon": OTHER_EPSILON, "maps": other},
    }


def narrow_pyramid() -> dict:
    maps = {str(index): picture(shape, f"map{index}") for index, shape in enumerate(NARROW["maps"])}
    channels = [shape[1] for shape in NARROW["maps"]]
    pyramid = FeaturePyramidNetwork(channels, NARROW["width"], LastLevelMaxPool())
    network = torch.nn.ModuleDict({"fpn": pyramid})
    held = inventory(network)
    fill(network)
    network.double()
    levels = list(pyramid(maps).values())
    return {
        "width": NARROW["width"],
        "maps": [list(shape) for shape in NARROW["maps"]],
        "inventory": held,
        "levels": summaries(levels),
        "gradients": gradients_of(network, levels),
    }


def fixture() -> dict:
    torch.use_deterministic_algorithms(True)
    return {
        "schema": 1,
        "torchvision": torchvision.__version__.split("+")[0],
        "resnet_50": resnet_50(),
        "narrow_pyramid": narrow_pyramid(),
    }


def main() -> None:
    check = check_wanted(__doc__)
    compare_or_write(check, fixture(), FIXTURE, "two backbones", TOLERANCE, indent=1)


if __name__ == "__main__":
    main()
