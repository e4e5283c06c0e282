#!/usr/bin/env python3
"""Oracle of the pretrainable networks of `voc_seg`: names, shapes, logits, gradients, statistics.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python networks.py           # writes the fixture of the Rust test
    venv/bin/python networks.py --check   # recomputes it and compares with the committed one

segmentation-models-pytorch (over torchvision and timm) builds the networks. No weights are committed:
both sides compute them, and the input, from names (`shared/weights.py`). Compared are logits in evaluation
and in training (without dropout), squared sums of some gradients, the running statistics after the training
step, and a digest of all names, kinds and shapes, group by group: equal ones are what
`load_state_dict(strict=True)` asks for.

Training is computed in double precision: normalising over the few values of so small a batch raises the
rounding of single precision, which differs between processors, to 3 % of a gradient.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from shared.comparison import check_wanted, compare
from shared.weights import fill, inventory, picture, probed, squared_sums, summary

FIXTURE = Path(__file__).resolve().parents[2] / "plugins" / "voc-seg" / "tests" / "fixtures" / "networks.json"
TOLERANCE = 1e-5
CLASSES = 11
# Wide enough that convolutions dilated 36 times at a sixteenth of it reach their neighbours.
EVALUATED = (1, 3, 32, 640)
TRAINED = (2, 3, 32, 64)
SAMPLES = 64

NETWORKS = {
    "deeplabv3plus_r50": lambda: smp.DeepLabV3Plus(
        "resnet50", encoder_weights=None, classes=CLASSES, encoder_output_stride=16
    ),
    "deeplabv3plus_r101": lambda: smp.DeepLabV3Plus(
        "resnet101", encoder_weights=None, classes=CLASSES, encoder_output_stride=16
    ),
    "pspnet_r50": lambda: smp.PSPNet(
        "resnet50", encoder_weights=None, classes=CLASSES, encoder_depth=5, output_stride=8
    ),
    "fpn_lite0": lambda: smp.FPN(
        "tu-tf_efficientnet_lite0",
        encoder_weights=None,
        classes=CLASSES,
        decoder_pyramid_channels=64,
        decoder_segmentation_channels=64,
    ),
}


def without_dropout(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, (torch.nn.Dropout, torch.nn.Dropout2d)):
            module.p = 0.0


def measure(build) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = build()
    held = inventory(network)
    fill(network)
    without_dropout(network)
    network.eval()
    with torch.no_grad():
        evaluated = network(picture(EVALUATED).float())
    network.train().double()
    trained = network(picture(TRAINED))
    probed(trained).backward()
    gradients = {name: own.grad for name, own in network.named_parameters()}
    buffers = {name: own for name, own in network.named_buffers() if own.dtype == torch.float64}
    return {
        "parameters": sum(own.numel() for own in network.parameters()),
        "inventory": held,
        "evaluated": summary(evaluated, SAMPLES),
        "trained": summary(trained, SAMPLES),
        "gradients": squared_sums(gradients),
        "statistics": squared_sums(buffers),
    }


def fixture() -> dict:
    torch.use_deterministic_algorithms(True)
    built = {}
    for name, build in NETWORKS.items():
        built[name] = measure(build)
        evaluated = built[name]["evaluated"]
        print(
            f"{name}: {built[name]['parameters']} parameters, deviation of the logits "
            f"{evaluated['deviation']:.3g}",
            file=sys.stderr,
        )
    return {
        "schema": 1,
        "smp": smp.__version__,
        "classes": CLASSES,
        "evaluated": list(EVALUATED),
        "trained": list(TRAINED),
        "networks": built,
    }


def main() -> None:
    check = check_wanted(__doc__)
    built = fixture()
    if check:
        compare(built, FIXTURE, f"{len(built['networks'])} networks", TOLERANCE, relative=True)
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(json.dumps(built, indent=1) + "\n")
    print(f"{len(built['networks'])} networks, {FIXTURE.stat().st_size} bytes in {FIXTURE}")


if __name__ == "__main__":
    main()
