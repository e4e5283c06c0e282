#!/usr/bin/env python3
"""Oracle of the detector `faster_rcnn_r50` of `coco_det`: names, shapes, detections, losses, gradients.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python detector.py           # writes the fixture of the Rust test
    venv/bin/python detector.py --check   # recomputes it and compares with the committed one

torchvision builds Faster R-CNN over ResNet-50 and a feature pyramid, with frozen normalisation as its published
weights have it. Photographs are two regions of the embedded pack of `plugins/vision`, of different sizes, neither
resized. No weights are committed: both sides compute them from names (`shared/weights.py`), and those of the heads
times factors that spread scores over ten classes. Compared are a digest of all names, kinds and shapes; how many
regions are kept and sampled; the detections; and in training, with samplers that take everything so that nothing is
random, how many anchors and regions are objects and background, the four losses, and squared sums of the gradients
of their sum.

All in double precision, but for the loss of objectness, which torchvision gives in single. That another rounding
finds the same detections and regions is checked here: with single precision, and with thresholds a little higher and
lower.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from shared.comparison import check_wanted, compare_or_write
from shared.weights import drawn, fill, inventory
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
FIXTURE = PLUGINS / "coco-det" / "tests" / "fixtures" / "detector.json"
TOLERANCE = 1e-5
CLASSES = 11
# Between the scores of two detections, as the number of detections is.
SCORE_THRESHOLD = 0.0406
DETECTIONS = 100
# More than there are, of either kind.
SAMPLED = 20_000

# Of the sheet of a photograph, four regions of this size, the one at this place; corners and classes of objects.
PHOTOGRAPHS = [
    {
        "name": "chelsea",
        "place": 3,
        "height": 142,
        "width": 217,
        "boxes": [[135.5, 85.5, 205.0, 141.0], [57.0, 0.0, 102.0, 29.5], [32.0, 0.0, 217.0, 142.0]],
        "labels": [3, 7, 1],
    },
    {
        "name": "astronaut",
        "place": 1,
        "height": 160,
        "width": 160,
        "boxes": [
            [0.0, 0.0, 58.0, 159.5],
            [99.0, 10.0, 160.0, 121.0],
            [131.5, 88.0, 156.0, 100.0],
            [17.0, 32.5, 31.0, 51.5],
        ],
        "labels": [5, 2, 3, 10],
    },
]

# Drawn numbers times these.
FACTORS = {
    "rpn.head.bbox_pred.weight": 0.046,
    "roi_heads.box_head.fc6.weight": 0.022,
    "roi_heads.box_head.fc7.weight": 0.077,
    "roi_heads.box_predictor.cls_score.weight": 0.306,
    "roi_heads.box_predictor.bbox_pred.weight": 0.077,
}
# Less the means of the logits on these photographs, so that every class wins somewhere; the background's is higher.
BIASES = {
    "roi_heads.box_predictor.cls_score.bias": [
        10.74,
        -7.41,
        -15.68,
        -19.37,
        -2.18,
        3.96,
        15.45,
        -0.95,
        -5.42,
        -4.92,
        2.54,
    ],
}


def built(encoder: str = "resnet50") -> FasterRCNN:
    backbone = resnet_fpn_backbone(backbone_name=encoder, weights=None, trainable_layers=5)
    network = FasterRCNN(
        backbone,
        num_classes=CLASSES,
        box_score_thresh=SCORE_THRESHOLD,
        box_detections_per_img=DETECTIONS,
        rpn_batch_size_per_image=SAMPLED,
        box_batch_size_per_image=SAMPLED,
    )
    network.transform.resize = lambda image, target: (image, target)
    return network


def filled() -> FasterRCNN:
    network = built()
    fill(network)
    state = network.state_dict()
    with torch.no_grad():
        for name, factor in FACTORS.items():
            values = drawn(name, state[name].numel()) * factor
            state[name].copy_(torch.from_numpy(values.astype(np.float32)).reshape(state[name].shape))
        for name, values in BIASES.items():
            state[name].copy_(torch.tensor(values))
    return network


def photograph(of: dict) -> torch.Tensor:
    sheet = Image.open(PLUGINS / "vision" / "pack" / f"background-{of['name']}.png").convert("RGB")
    row, column = divmod(of["place"], 2)
    left, top = column * of["width"], row * of["height"]
    region = sheet.crop((left, top, left + of["width"], top + of["height"]))
    return torch.from_numpy(np.array(region)).permute(2, 0, 1)


def images(kind: torch.dtype) -> list[torch.Tensor]:
    return [photograph(of).to(kind) / 255 for of in PHOTOGRAPHS]


def detections(network: FasterRCNN) -> list[dict[str, torch.Tensor]]:
    network.eval()
    with torch.no_grad():
        return network(images(next(network.parameters()).dtype))


class Counting:
    """A sampler that remembers how many positives and negatives it took, which must be all."""

    def __init__(self, sampler) -> None:
        self.sampler = sampler
        self.counts: list[int] = []

    def __call__(self, labels):
        taken = self.sampler(labels)
        self.counts = [sum(int(mask.sum()) for mask in masks) for masks in taken]
        there = torch.cat(labels)
        assert self.counts == [int((there >= 1).sum()), int((there == 0).sum())], "not all is taken"
        return taken


def trained(network: FasterRCNN) -> dict:
    """Losses of a training step, with gradients in the network."""
    network.train()
    network.zero_grad()
    kind = next(network.parameters()).dtype
    samplers = {"anchors": network.rpn, "regions": network.roi_heads}
    for module in samplers.values():
        module.fg_bg_sampler = Counting(getattr(module.fg_bg_sampler, "sampler", module.fg_bg_sampler))
    targets = [
        {"boxes": torch.tensor(of["boxes"], dtype=kind), "labels": torch.tensor(of["labels"])}
        for of in PHOTOGRAPHS
    ]
    losses = network(images(kind), targets)
    sum(losses.values()).backward()
    return {
        "losses": {name: loss.item() for name, loss in losses.items()},
        "sampled": {name: module.fg_bg_sampler.counts for name, module in samplers.items()},
        "gradients": {
            name: own.grad.double().square().sum().item() for name, own in network.named_parameters()
        },
    }


def differences(found: list[dict], other: list[dict]) -> tuple[float, float]:
    """Of the boxes and scores of the same detections; infinite where these are others."""
    most = [0.0, 0.0]
    for a, b in zip(found, other):
        if a["labels"].tolist() != b["labels"].tolist():
            return float("inf"), float("inf")
        for at, name in enumerate(["boxes", "scores"]):
            most[at] = max(most[at], (a[name].double() - b[name].double()).abs().max().item())
    return most[0], most[1]


def check_steadiness(network: FasterRCNN, found: list[dict]) -> None:
    """Ends the program unless detections stay the same with thresholds nearby."""
    thresholds = [
        (network.roi_heads, "score_thresh", 2e-4),
        (network.roi_heads, "nms_thresh", 2e-4),
        (network.rpn, "nms_thresh", 2e-5),
    ]
    for module, name, step in thresholds:
        kept = getattr(module, name)
        for sign in (-1, 1):
            setattr(module, name, kept + sign * step)
            if differences(found, detections(network)) != (0.0, 0.0):
                sys.exit(f"other detections with {type(module).__name__}.{name} {kept + sign * step}")
        setattr(module, name, kept)
    network.roi_heads.detections_per_img = DETECTIONS + 1
    for picture in detections(network):
        scores = picture["scores"]
        if len(scores) > DETECTIONS and scores[DETECTIONS - 1] - scores[DETECTIONS] < 2e-4:
            sys.exit("the last detection and the first left out have nearly equal scores")
    network.roi_heads.detections_per_img = DETECTIONS


def check_single(found: list[dict], step: dict) -> None:
    """Says how much single precision changes, and ends the program if detections or regions are others."""
    network = filled()
    boxes, scores = differences(found, detections(network))
    single = trained(network)
    relative = {
        part: max(abs(single[part][name] / exact - 1) for name, exact in step[part].items())
        for part in ("losses", "gradients")
    }
    print(
        f"single precision: boxes {boxes:.2g} pixels, scores {scores:.2g}; relative: losses "
        f"{relative['losses']:.2g}, squared sums of gradients {relative['gradients']:.2g}",
        file=sys.stderr,
    )
    if single["sampled"] != step["sampled"] or boxes == float("inf"):
        sys.exit("single precision finds other detections or regions")


def held(network: torch.nn.Module) -> dict:
    return {"parameters": sum(own.numel() for own in network.parameters()), "inventory": inventory(network)}


def fixture() -> dict:
    torch.use_deterministic_algorithms(True)
    # Without weights it has normalisation that is trained.
    plain = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
    limits = {
        "proposals": [
            [kept[mode] for kept in (plain.rpn._pre_nms_top_n, plain.rpn._post_nms_top_n)]
            for mode in ("training", "testing")
        ],
        "sampled": [module.fg_bg_sampler.batch_size_per_image for module in (plain.rpn, plain.roi_heads)],
    }
    networks = {
        "faster_rcnn_r50": held(built()),
        "faster_rcnn_r101": held(built("resnet101")),
        "faster_rcnn_r50 with trained normalisation": held(plain),
    }
    network = filled().double()
    found = detections(network)
    for of, picture in zip(PHOTOGRAPHS, found):
        print(
            f"{of['name']}: {len(picture['scores'])} detections of {len(picture['labels'].unique())} classes, "
            f"scores {picture['scores'][0]:.3f} to {picture['scores'][-1]:.3f}",
            file=sys.stderr,
        )
    step = trained(network)
    print(f"sampled {step['sampled']}, losses {step['losses']}", file=sys.stderr)
    check_single(found, step)
    check_steadiness(network, found)
    rounded = [
        {
            "boxes": picture["boxes"].numpy().round(6).tolist(),
            "labels": picture["labels"].tolist(),
            "scores": picture["scores"].numpy().round(9).tolist(),
        }
        for picture in found
    ]
    photographs = [{**of, "sum": int(photograph(of).sum())} for of in PHOTOGRAPHS]
    return {
        "schema": 1,
        "torchvision": torchvision.__version__.split("+")[0],
        "classes": CLASSES,
        "factors": FACTORS,
        "biases": BIASES,
        "photographs": photographs,
        "networks": networks,
        "limits": limits,
        "score_threshold": SCORE_THRESHOLD,
        "detections": DETECTIONS,
        "found": rounded,
        "trained": step,
    }


def main() -> None:
    check = check_wanted(__doc__)
    compare_or_write(check, fixture(), FIXTURE, "a detector", TOLERANCE)


if __name__ == "__main__":
    main()
