#!/usr/bin/env python3
"""Oracle of what detectors are made of: coding, anchors, overlaps, matching, suppression, pooling of regions.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python detection.py           # writes the fixture of the Rust test
    venv/bin/python detection.py --check   # recomputes it and compares with the committed one

torchvision computes all values, and PyTorch the gradients: of the sum of a result times fixed numbers
(`drawn` from a name, which both sides compute), so that no element's gradient is like another's.

Left out are the cases where ours differs by intention: no ground truth (torchvision refuses it), ground truth that
no candidate overlaps, sides that are not positive, coordinates that are not finite.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torchvision
from shared.comparison import check_wanted, compare_or_write
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import (
    MultiScaleRoIAlign,
    box_iou,
    clip_boxes_to_image,
    generalized_box_iou_loss,
    nms,
    roi_align,
)
from torchvision.ops import boxes as box_ops
from torchvision.ops._utils import _loss_inter_union
from torchvision.ops.poolers import LevelMapper

FIXTURE = Path(__file__).resolve().parents[2] / "plugins" / "vision" / "tests" / "fixtures" / "detection.json"
TOLERANCE = 1e-5
# torchvision's own for images.
IMAGE = (120, 160)


def drawn(name: str, *shape: int) -> torch.Tensor:
    """Numbers from -1 to below 1: the mixed sum of a hash of the name and the index (32 bits)."""
    start = 0x811C9DC5
    for byte in name.encode():
        start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = (np.arange(int(np.prod(shape)), dtype=np.uint64) * 0x9E3779B9 + start) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor & 0xFFFFFFFF
    x ^= x >> 16
    return torch.from_numpy((x.astype(np.float64) / 2.0**31 - 1.0).astype(np.float32)).reshape(shape)


def uniform(name: str, low: float, high: float, *shape: int) -> torch.Tensor:
    """Rounded to 1/64, which single precision and a short text both hold exactly."""
    return torch.round((drawn(name, *shape) + 1) / 2 * (high - low) * 64) / 64 + low


def some_boxes(name: str, count: int, size: tuple[int, int] = IMAGE, longest: float = 60.0) -> torch.Tensor:
    """Boxes with their first corner on an image and sides of 1 to `longest`; they may reach out of it."""
    height, width = size
    corner = uniform(f"{name} corner", 0, 1, count, 2) * torch.tensor([width, height])
    corner = torch.round(corner * 4) / 4
    return torch.cat([corner, corner + uniform(f"{name} side", 1, longest, count, 2)], 1)


def shortened(value: float) -> float:
    return float(f"{value:.8g}")


def numbers(tensor: torch.Tensor) -> list:
    """All elements in order; whole ones without a point, which takes less room."""
    flat = tensor.detach().flatten().tolist()
    return [int(value) if float(value).is_integer() else shortened(value) for value in flat]


def gradient(result: torch.Tensor, name: str, wanted: torch.Tensor) -> list:
    """Of the sum of `result` times numbers drawn from `name`."""
    (own,) = torch.autograd.grad((result * drawn(name, *result.shape)).sum(), wanted, retain_graph=True)
    return numbers(own)


def coding() -> list:
    cases = []
    for name, weights, groups in (
        ("proposals", (1.0, 1.0, 1.0, 1.0), 1),
        ("head", (10.0, 10.0, 5.0, 5.0), 3),
    ):
        coder = BoxCoder(weights)
        anchors, targets = some_boxes(f"{name} anchors", 12), some_boxes(f"{name} targets", 12)
        # Some beyond the largest growth, ln(1000/16) times the weight.
        reach = 3.0 * weights[2]
        deltas = uniform(f"{name} deltas", -reach, 2 * reach, 12, 4 * groups).requires_grad_()
        decoded = coder.decode_single(deltas, anchors)
        clipped = clip_boxes_to_image(decoded.reshape(-1, 4), IMAGE).reshape(decoded.shape)
        cases.append(
            {
                "weights": list(weights),
                "anchors": numbers(anchors),
                "targets": numbers(targets),
                "encoded": numbers(coder.encode_single(targets, anchors)),
                "deltas": numbers(deltas),
                "decoded": numbers(decoded),
                "gradient": gradient(decoded, "decoded", deltas),
                "clipped": numbers(clipped),
                "clipped_gradient": gradient(clipped, "clipped", deltas),
            }
        )
    return cases


def overlaps() -> dict:
    """Pairs that overlap, touch, coincide, contain each other, lie apart, or have no area."""
    edges = [
        ([0, 0, 4, 4], [4, 0, 8, 4]),
        ([0, 0, 4, 4], [4, 4, 8, 8]),
        ([1, 2, 5, 7], [1, 2, 5, 7]),
        ([0, 0, 9, 9], [3, 3, 5, 5]),
        ([3, 3, 5, 5], [0, 0, 9, 9]),
        ([0, 0, 2, 2], [6, 7, 9, 9]),
        ([2, 2, 2, 6], [0, 0, 9, 9]),
        ([2, 2, 2, 2], [2, 2, 2, 2]),
        ([0, 0, 3, 3], [0, 5, 3, 9]),
        ([0, 0, 4, 4], [0, 2, 4, 6]),
    ]
    first = torch.cat([some_boxes("first", 20), torch.tensor([pair[0] for pair in edges]).float()])
    second = torch.cat([some_boxes("second", 20), torch.tensor([pair[1] for pair in edges]).float()])
    # Half of the random pairs certainly overlap.
    second[:10] = first[:10] + uniform("moved", -5, 5, 10, 1)
    first.requires_grad_()
    intersection, union = _loss_inter_union(first, second)
    low, high = torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])
    enclosing = (high - low).prod(1)
    loss = generalized_box_iou_loss(first, second)
    parts = {
        "intersection": intersection,
        "union": union,
        "enclosing": enclosing,
        "giou_loss": loss,
        "iou": intersection / (union + 1e-7),
    }
    # Pairs without area have no IoU in torchvision, and zero in ours.
    pairwise = box_iou(first.detach(), second)
    assert pairwise.isnan().sum() == 2
    return {
        "first": numbers(first),
        "second": numbers(second),
        "pairwise_iou": numbers(pairwise.nan_to_num(0.0)),
        "areas": numbers(box_ops.box_area(first)),
        "values": {name: numbers(part) for name, part in parts.items()},
        "gradients": {name: gradient(part, name, first) for name, part in parts.items()},
    }


def anchors() -> list:
    # Some corners lie halfway between pixels.
    cases = []
    for sizes, ratios, maps, image in (
        (((8,), (16,), (32,)), ((0.5, 1.0, 2.0),) * 3, ((5, 7), (3, 4), (1, 2)), (40, 56)),
        (((15, 33), (70,)), ((0.4, 1.0), (1.7,)), ((3, 3), (2, 1)), (100, 75)),
    ):
        features = [torch.zeros(1, 1, *size) for size in maps]
        images = ImageList(torch.zeros(1, 3, *image), [image])
        # The generator puts all levels of an image together; in order, they are the levels' own.
        (found,) = AnchorGenerator(sizes, ratios)(images, features)
        cases.append(
            {"sizes": sizes, "ratios": ratios, "maps": maps, "image": image, "anchors": numbers(found)}
        )
    return json.loads(json.dumps(cases))


def matching() -> list:
    cases = []
    for name, low, high, low_quality in (
        ("rpn", 0.3, 0.7, True),
        ("head", 0.5, 0.5, False),
        ("ties", 0.3, 0.7, True),
    ):
        truth = some_boxes(f"{name} truth", 5)
        near = truth.repeat(6, 1) + uniform(f"{name} near", -9, 9, 30, 4)
        near[:, 2:] = torch.maximum(near[:, 2:], near[:, :2] + 1)
        candidates = torch.cat([near, some_boxes(f"{name} far", 20)])
        if name == "ties":
            # The same candidates twice, and one ground-truth box twice.
            candidates, truth = candidates[:25].repeat(2, 1), torch.cat([truth, truth[2:3]])
        iou = box_iou(truth, candidates)
        assert (iou.amax(1) > 0).all(), "ground truth without any overlap is treated otherwise"
        matches = Matcher(high, low, low_quality)(iou)
        assert {-1, 0} <= set(matches.tolist())
        cases.append(
            {
                "thresholds": [low, high],
                "low_quality": low_quality,
                "truth": numbers(truth),
                "candidates": numbers(candidates),
                "matches": numbers(matches),
            }
        )
    return cases


def sampling() -> list:
    """The draws of PyTorch's generator after a seed. torchvision's labels: objects from 1, background 0, others -1."""
    cases = []
    for seed, batch, fraction in ((1, 16, 0.25), (2, 30, 0.5), (3, 40, 1.0)):
        matches = torch.round(uniform(f"matches {seed}", -2.4, 1.4, 60)).long()
        labels = torch.where(matches >= 0, matches + 1, torch.where(matches == -1, 0, -1))
        torch.manual_seed(seed)
        (positive,), (negative,) = BalancedPositiveNegativeSampler(batch, fraction)([labels])
        cases.append(
            {
                "seed": seed,
                "batch": batch,
                "fraction": fraction,
                "matches": numbers(matches),
                "positive": numbers(torch.where(positive)[0]),
                "negative": numbers(torch.where(negative)[0]),
            }
        )
    return cases


def suppression() -> dict:
    # Scores in steps, so that several are equal; boxes on a grid, so that some IoUs are the thresholds.
    boxes = torch.round(some_boxes("crowd", 90, (60, 60), 30.0))
    boxes[5], boxes[6] = torch.tensor([3.0, 3, 3, 3]), torch.tensor([10.0, 2, 10, 30])
    boxes[7], boxes[8] = torch.tensor([200.0, 0, 240, 40]), torch.tensor([200.0, 0, 240, 20])
    boxes[9] = boxes[10]
    scores = torch.round(uniform("scores", 0, 1, 90) * 32) / 32
    groups = torch.round(uniform("groups", -0.49, 2.49, 90)).long()
    thresholds = [0.0, 0.3, 0.5, 0.7, 1.0]
    # Not by moving the groups apart, whose rounding would move IoUs across a threshold.
    batched = []
    for threshold in thresholds:
        kept = torch.cat(
            [
                (groups == group).nonzero()[:, 0][
                    nms(boxes[groups == group], scores[groups == group], threshold)
                ]
                for group in range(3)
            ]
        ).sort()[0]
        batched.append(numbers(kept[scores[kept].sort(descending=True, stable=True)[1]]))
        moved = box_ops.batched_nms(boxes, scores, groups, threshold)
        assert set(moved.tolist()) == set(batched[-1])
    return {
        "boxes": numbers(boxes),
        "scores": numbers(scores),
        "groups": numbers(groups),
        "thresholds": thresholds,
        "kept": [numbers(nms(boxes, scores, threshold)) for threshold in thresholds],
        "batched": batched,
        "large": numbers(box_ops.remove_small_boxes(boxes, 8.0)),
    }


REGIONS = [
    # Inside; beyond each border; all of the map; thinner than a pixel; without area; far outside; just outside.
    [4, 6, 20, 25],
    [-9.5, 3, 8, 14.5],
    [13, -7, 30, 9.25],
    [20, 10, 61, 30],
    [5, 20, 19, 58],
    [0, 0, 44, 36],
    [10, 10, 10.5, 28],
    [17, 12, 17, 12],
    [90, 90, 120, 130],
    [-6, -6, -2.5, -3],
    [40.75, 33, 50, 39],
]


def aligned_regions() -> dict:
    features = (drawn("features", 2, 3, 9, 11) * 2).requires_grad_()
    boxes = [torch.tensor(REGIONS).float(), some_boxes("regions", 3, (36, 44), 30.0)]
    cases = []
    for output, scale, ratio, aligned in (
        ((2, 3), 0.25, 2, False),
        ((2, 2), 0.25, -1, False),
        ((3, 1), 0.25, 0, True),
        ((2, 2), 0.5, 1, True),
        ((1, 2), 1.0, 3, False),
        ((2, 1), 0.7, 0, False),
    ):
        pooled = roi_align(features, boxes, output, scale, ratio, aligned)
        cases.append(
            {
                "output": list(output),
                "scale": scale,
                "ratio": ratio,
                "aligned": aligned,
                "pooled": numbers(pooled),
                "gradient": gradient(pooled, "pooled", features),
            }
        )
    return {"features": list(features.shape), "boxes": [numbers(own) for own in boxes], "cases": cases}


def multi_scale() -> dict:
    shapes = [(2, 2, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)]
    pyramid = [drawn(f"level {index}", *shape).requires_grad_() for index, shape in enumerate(shapes)]
    boxes = [some_boxes("fine", 6, (64, 96), 20.0), some_boxes("coarse", 7, (64, 96), 90.0)]
    pooling = MultiScaleRoIAlign([str(index) for index in range(4)], 2, 2, canonical_scale=24)
    named = OrderedDict((str(index), level) for index, level in enumerate(pyramid))
    pooled = pooling(named, boxes, [(64, 96)])
    assert pooling.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    # Two just below the canonical side, of which one counts as it.
    sides = [
        224 - 2**-13,
        224 - 2**-9,
        1,
        27.5,
        55.9375,
        56,
        111.9375,
        112,
        223.9375,
        224,
        300,
        447.9375,
        448,
        700,
        896,
        4000,
    ]
    sized = torch.tensor(
        [[5, 9, 5 + side * shape, 9 + side / shape] for side in sides for shape in (0.5, 1, 2)]
    )
    return {
        "shapes": [list(shape) for shape in shapes],
        "boxes": [numbers(own) for own in boxes],
        "pooled": numbers(pooled),
        "gradients": [gradient(pooled, "pooled", level) for level in pyramid],
        "sized": numbers(sized),
        "levels": numbers(LevelMapper(2, 5)([sized])),
        "used": numbers(pooling.map_levels(boxes)),
    }


def fixture() -> dict:
    torch.use_deterministic_algorithms(True)
    return {
        "schema": 1,
        "torchvision": torchvision.__version__.split("+")[0],
        "coding": coding(),
        "overlaps": overlaps(),
        "anchors": anchors(),
        "matching": matching(),
        "sampling": sampling(),
        "suppression": suppression(),
        "roi_align": aligned_regions(),
        "multi_scale": multi_scale(),
    }


def main() -> None:
    check = check_wanted(__doc__)
    compare_or_write(check, fixture(), FIXTURE, "primitives of detectors", TOLERANCE)


if __name__ == "__main__":
    main()
