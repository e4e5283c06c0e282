#!/usr/bin/env python3
"""Oracle of the pretrainable networks of `voc_seg`: names, shapes, logits, gradients, statistics.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python networks.py           # writes the fixture of the Rust test
    venv/bin/python networks.py --check   # recomputes it and compares with the committed one

segmentation-models-pytorch (over torchvision and timm) builds the networks. No weights are committed:
both sides compute them, and the input, from the name of a tensor and the index of an element (`drawn`).
They keep signals near order 1 through a hundred layers, and running variances positive. Compared are
logits in evaluation and in training (without dropout), squared sums of some gradients, the running
statistics after the training step, and a digest of all names, kinds and shapes, group by group: equal
ones are what `load_state_dict(strict=True)` asks for.

Training is computed in double precision: normalising over the few values of so small a batch raises the
rounding of single precision, which differs between processors, to 3 % of a gradient.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch

from shared.comparison import check_wanted, compare

FIXTURE = Path(__file__).resolve().parents[2] / "plugins" / "voc-seg" / "tests" / "fixtures" / "networks.json"
TOLERANCE = 1e-5
CLASSES = 11
# Wide enough that convolutions dilated 36 times at a sixteenth of it reach their neighbours.
EVALUATED = (1, 3, 32, 640)
TRAINED = (2, 3, 32, 64)
SAMPLES = 64

NETWORKS = {
    "deeplabv3plus_r50": lambda: smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=CLASSES,
                                                   encoder_output_stride=16),
    "deeplabv3plus_r101": lambda: smp.DeepLabV3Plus("resnet101", encoder_weights=None, classes=CLASSES,
                                                    encoder_output_stride=16),
    "pspnet_r50": lambda: smp.PSPNet("resnet50", encoder_weights=None, classes=CLASSES, encoder_depth=5,
                                     output_stride=8),
    "fpn_lite0": lambda: smp.FPN("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES,
                                 decoder_pyramid_channels=64, decoder_segmentation_channels=64),
}
# Gradients and statistics are compared of the tensors at these places of their sorted names.
PLACES = 8


def drawn(name: str, count: int) -> np.ndarray:
    """`count` numbers from -1 to below 1: the mixed sum of a hash of the name and the index (32 bits)."""
    start = 0x811C9DC5
    for byte in name.encode():
        start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + start) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor & 0xFFFFFFFF
    x ^= x >> 16
    return x.astype(np.float64) / 2.0**31 - 1.0


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor by its name: kernels of He's variance, scales and variances around 0.5 and 1."""
    u = drawn(name, int(np.prod(shape))).reshape(shape)
    if len(shape) == 4:
        return u * np.sqrt(6.0 / np.prod(shape[1:]))
    if name.endswith(".running_var"):
        return 1.0 + 0.5 * u
    if name.endswith(".weight"):
        return 0.5 + 0.25 * u
    return 0.2 * u


def picture(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(drawn("image", int(np.prod(shape))).reshape(shape) * 2.0)


def fill(network: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(values(name, tuple(tensor.shape)).astype(np.float32)))


def group(name: str) -> str:
    return ".".join(name.split(".")[:3])


def inventory(network: torch.nn.Module) -> dict:
    """Of every group of names: how many, and SHA-256 over their sorted lines `name kind shape`."""
    lines: dict[str, list[str]] = {}
    for name, tensor in network.state_dict().items():
        kind = str(tensor.dtype).removeprefix("torch.")
        shape = "x".join(map(str, tensor.shape))
        lines.setdefault(group(name), []).append(f"{name} {kind} {shape}\n")
    return {
        key: [len(held), hashlib.sha256("".join(sorted(held)).encode()).hexdigest()[:16]]
        for key, held in sorted(lines.items())
    }


def summary(tensor: torch.Tensor) -> dict:
    """Values at evenly spread places, mean and standard deviation."""
    flat = tensor.detach().double().flatten()
    places = [index * (flat.numel() - 1) // (SAMPLES - 1) for index in range(SAMPLES)]
    return {
        "shape": list(tensor.shape),
        "samples": flat[places].tolist(),
        "mean": flat.mean().item(),
        "deviation": flat.std(unbiased=False).item(),
    }


def spread(names: list[str]) -> list[str]:
    names = sorted(names)
    return [names[index * (len(names) - 1) // (PLACES - 1)] for index in range(PLACES)]


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
    probe = drawn("probe", trained.numel()).reshape(trained.shape)
    (trained * torch.from_numpy(probe)).sum().backward()
    gradients = {name: own.grad for name, own in network.named_parameters()}
    buffers = {name: own for name, own in network.named_buffers() if own.dtype == torch.float64}
    return {
        "parameters": sum(own.numel() for own in network.parameters()),
        "inventory": held,
        "evaluated": summary(evaluated),
        "trained": summary(trained),
        "gradients": {name: gradients[name].double().square().sum().item() for name in spread(list(gradients))},
        "statistics": {name: buffers[name].double().square().sum().item() for name in spread(list(buffers))},
    }


def fixture() -> dict:
    torch.use_deterministic_algorithms(True)
    built = {}
    for name, build in NETWORKS.items():
        built[name] = measure(build)
        evaluated = built[name]["evaluated"]
        print(f"{name}: {built[name]['parameters']} parameters, deviation of the logits "
              f"{evaluated['deviation']:.3g}", file=sys.stderr)
    return {"schema": 1, "smp": smp.__version__, "classes": CLASSES, "evaluated": list(EVALUATED),
            "trained": list(TRAINED), "networks": built}


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
