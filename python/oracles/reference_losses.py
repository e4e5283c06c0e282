#!/usr/bin/env python3
"""Oracle of the segmentation task's reference losses, values and gradients.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python reference_losses.py           # writes the fixture of the Rust tests
    venv/bin/python reference_losses.py --check   # recomputes it and compares with the committed one

    ce      torch.nn.functional.cross_entropy, void ignored, over all positions
    wce     the same with class weights
    dice    segmentation_models_pytorch's DiceLoss, over the classes present
    lovasz  numpy, held against segmentation_models_pytorch's Lovász-softmax in single precision
    dpce    cross entropy weighted with distances of scipy.ndimage
    ssim    torchmetrics' map of the structural similarity, void and absent classes left out
    asl     straight curves: segmentation_models_pytorch's JaccardLoss where it is one; else written
            here from the definitions, curves by bisection, pixels by numpy loops over classes

All in double precision. Gradients are with respect to yhat, as the branch hands it over: softmax,
zero at void; autograd of PyTorch, and central differences for the curves' metrics.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from segmentation_models_pytorch.losses import DiceLoss, JaccardLoss
from segmentation_models_pytorch.losses.lovasz import _lovasz_softmax
from shared.comparison import check_wanted, compare
from torchmetrics.functional.image import structural_similarity_index_measure

FIXTURE = (
    Path(__file__).resolve().parents[2]
    / "plugins"
    / "voc-seg"
    / "tests"
    / "fixtures"
    / "reference_losses.json"
)
TOLERANCE = 1e-9
VOID = 255
# Elements of yhat at which the slopes of a surrogate are stored.
PLACES = 16

# Published for mIoU, nearly upright at 0, and two of our own.
STEEP = [[3.65390355e-04, 9.84171689e-01], [9.69491959e-01, 9.92340326e-01], [9.88328516e-01, 9.95552719e-01]]
MILD = [[3.54609758e-01, 2.67221928e-01], [5.60551465e-01, 4.35290039e-01], [5.65432191e-01, 6.01448298e-01]]
ONE = [[0.2, 0.7]]
FIVE = [[0.1, 0.2], [0.3, 0.25], [0.4, 0.5], [0.7, 0.6], [0.8, 0.9]]


class Case:
    """Labels (N, H, W) with 255 for void and a prediction (N, C, H, W), zero there."""

    def __init__(self, labels: np.ndarray, logits: np.ndarray):
        self.labels = labels
        self.classes = logits.shape[1]
        valid = (labels != VOID)[:, None]
        exp = np.exp(logits - logits.max(1, keepdims=True))
        self.yhat = exp / exp.sum(1, keepdims=True) * valid
        self.y = (labels[:, None] == np.arange(self.classes)[:, None, None]).astype(float)
        self.valid = valid.astype(float)
        self.counts = self.y.sum((0, 2, 3))
        self.present = [c for c in range(self.classes) if self.counts[c]]


def autograd(case: Case, loss) -> tuple[float, np.ndarray]:
    yhat = torch.tensor(case.yhat, requires_grad=True)
    value = loss(yhat, torch.tensor(case.labels.astype(np.int64)))
    value.backward()
    return value.item(), yhat.grad.numpy()


def nll(yhat: torch.Tensor, labels: torch.Tensor, **options) -> torch.Tensor:
    # Void has yhat = 0, whose logarithm must not meet a gradient of zero.
    safe = torch.where((labels == VOID).unsqueeze(1), torch.ones_like(yhat), yhat)
    return F.nll_loss(safe.log(), labels, ignore_index=VOID, **options)


def ce(case: Case):
    return autograd(case, lambda yhat, labels: nll(yhat, labels, reduction="sum") / labels.numel())


def wce(case: Case):
    weight = torch.tensor([1 / n if n else 0.0 for n in case.counts])
    # With weights, the library's mean divides by the sum of the weights of the pixels: by K.
    return autograd(case, lambda yhat, labels: nll(yhat, labels, weight=weight))


def rescaled(case: Case, library):
    """Losses that divide by all C and have 0 for absent classes, over the classes present instead."""
    scale = case.classes / len(case.present)
    return autograd(case, lambda yhat, labels: library(yhat, labels) * scale)


def dice(case: Case):
    return rescaled(case, DiceLoss("multiclass", from_logits=False, ignore_index=VOID))


def lovasz(case: Case):
    """In numpy from the definition; the library's, which computes in single precision, must agree."""
    value, gradient = 0.0, np.zeros_like(case.yhat)
    keep = (case.labels != VOID).ravel()
    for c in case.present:
        target = case.y[:, c].ravel()[keep]
        signed = case.yhat[:, c].ravel()[keep] - target
        order = np.argsort(-np.abs(signed), kind="stable")
        # Jaccard loss when the worst k pixels are wrong: wrong / (target or wrong), for every k.
        wrong = np.arange(1, len(order) + 1)
        jaccard = wrong / (target.sum() + np.cumsum(1 - target[order]))
        steps = np.diff(jaccard, prepend=0.0)
        value += np.abs(signed)[order] @ steps / len(case.present)
        slopes = np.zeros(keep.shape)
        slopes[np.flatnonzero(keep)[order]] = np.sign(signed)[order] * steps / len(case.present)
        gradient[:, c] = slopes.reshape(case.labels.shape)
    library, theirs = autograd(case, lambda yhat, labels: _lovasz_softmax(yhat.float(), labels, ignore=VOID))
    assert abs(library - value) < 1e-6 and np.allclose(theirs, gradient, atol=1e-6)
    return value, gradient


def dpce(case: Case):
    phi = np.zeros(case.labels.shape)
    for picture, out in zip(case.labels, phi):
        distance = np.zeros(picture.shape)
        known = sorted(set(np.unique(picture)) - {VOID})
        if len(known) < 2:
            continue
        for c in known:
            other = (picture != c) & (picture != VOID)
            distance[picture == c] = ndimage.distance_transform_edt(~other)[picture == c]
        out[:] = (distance.max() - distance) / distance.max()
    weight = torch.tensor(1 + phi)
    return autograd(
        case, lambda yhat, labels: (weight * nll(yhat, labels, reduction="none")).sum() / labels.numel()
    )


def ssim(case: Case):
    y, valid = torch.tensor(case.y), torch.tensor(case.valid)

    def loss(yhat, _):
        _, full = structural_similarity_index_measure(
            yhat * valid,
            y,
            sigma=1.5,
            kernel_size=11,
            data_range=1.0,
            k1=0.01,
            k2=0.03,
            return_full_image=True,
        )
        counted = valid * y.amax((2, 3), keepdim=True)
        return ((1 - full) * counted).sum() / counted.sum()

    return autograd(case, loss)


def bezier(points: list, u: np.ndarray) -> np.ndarray:
    """v of the piecewise quadratic curve at u, its parameter found by bisection."""
    if not points:
        return u
    knots = np.array([[0, 0], *points, [1, 1]], float)
    v = np.empty_like(u)
    segment = np.clip(np.searchsorted(knots[2::2, 0], u), 0, len(knots) // 2 - 1)
    for k in range(len(knots) // 2):
        here = segment == k
        p = knots[2 * k : 2 * k + 3]
        low, high = np.zeros(here.sum()), np.ones(here.sum())
        for _ in range(60):
            middle = (low + high) / 2
            below = point(p[:, 0], middle) < u[here]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        v[here] = point(p[:, 1], (low + high) / 2)
    return v


def point(p: np.ndarray, s: np.ndarray) -> np.ndarray:
    return (1 - s) ** 2 * p[0] + 2 * s * (1 - s) * p[1] + s**2 * p[2]


def extreme(planes: np.ndarray, radius: int, largest: bool) -> np.ndarray:
    size = (1, 1, 2 * radius + 1, 2 * radius + 1)
    if largest:
        return ndimage.maximum_filter(planes, size=size, mode="constant", cval=-np.inf)
    return ndimage.minimum_filter(planes, size=size, mode="constant", cval=np.inf)


def either(a, b):
    return a + b - a * b


def asl_value(case: Case, asl: dict, yhat: np.ndarray) -> float:
    metric, tolerance = asl["metric"], asl.get("tolerance", 5)
    both = bezier(asl.get("and", []), yhat)
    union = bezier(asl.get("or", []), yhat)
    y, counted = case.y, case.valid
    if metric == "BF1":
        return 1 - boundary_f1(case, asl, tolerance, yhat, both, union)
    if metric == "BIoU":
        edges = (y != extreme(y, 1, False)).astype(float)[:, 1:]
        counted = counted * extreme(edges, tolerance, True).max(1, keepdims=True)
    scores, weights = [], []
    for c in range(case.classes):
        pixels = (y * counted)[:, c].sum()
        if not pixels:
            continue
        hits = (both * y * counted)[:, c].sum()
        accuracy = metric in ("gAcc", "mAcc")
        scores.append(hits / (pixels if accuracy else (either(union, y) * counted)[:, c].sum()))
        weights.append(pixels if metric in ("gAcc", "FWIoU") else 1)
    return 1 - float(np.average(scores, weights=weights))


def boundary_f1(case, asl, tolerance, yhat, both, union) -> float:
    small = extreme(yhat, 1, False)
    edges = either(union, bezier(asl.get("or_eroded", []), small)) - both * bezier(
        asl.get("and_eroded", []), small
    )
    target = (case.y != extreme(case.y, 1, False)).astype(float)
    near_target, near = extreme(target, tolerance, True), extreme(edges, tolerance, True)
    scores = []
    for c in range(1, case.classes):
        if target[:, c].any():
            precision = (edges * near_target)[:, c].sum() / edges[:, c].sum()
            recall = (near * target)[:, c].sum() / target[:, c].sum()
            scores.append(2 * precision * recall / (precision + recall))
    return float(np.mean(scores))


def difference(case: Case, asl: dict, place: int, h: float) -> float:
    """Fourth-order difference with respect to one element of yhat."""

    def shifted(step):
        yhat = case.yhat.copy()
        yhat.flat[place] += step
        return asl_value(case, asl, yhat)

    return (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) / (12 * h)


def differences(case: Case, asl: dict, order: np.ndarray) -> tuple[list[int], list[float]]:
    """The first places, and their slopes, where two steps agree: no knot or tie of pooling is near."""
    places, slopes = [], []
    for place in order:
        h = min(1e-4, case.yhat.flat[place] / 4)
        slope, finer = difference(case, asl, place, h), difference(case, asl, place, h / 2)
        if abs(slope - finer) < 1e-9:
            places.append(int(place))
            slopes.append(finer)
        if len(places) == PLACES:
            return places, slopes
    raise RuntimeError(f"too few smooth places for {asl}")


LOSSES = {"ce": ce, "wce": wce, "dice": dice, "lovasz": lovasz, "dpce": dpce, "ssim": ssim}

CURVES = [
    {"metric": "mIoU"},
    {"metric": "mIoU", "and": STEEP, "or": MILD},
    {"metric": "FWIoU", "and": ONE, "or": FIVE},
    {"metric": "gAcc", "and": MILD},
    {"metric": "mAcc", "and": FIVE},
    {"metric": "BIoU", "and": MILD, "or": ONE, "tolerance": 1},
    {"metric": "BF1", "tolerance": 2},
    {"metric": "BF1", "and": MILD, "or": FIVE, "and_eroded": ONE, "or_eroded": MILD, "tolerance": 0},
]


def blobs(random: np.random.Generator, n: int, height: int, width: int, labels: list[int]) -> np.ndarray:
    pictures = np.zeros((n, height, width), np.int64)
    rows, columns = np.mgrid[:height, :width]
    for picture in pictures:
        for label in random.permutation(labels):
            y, x = random.integers(0, height), random.integers(0, width)
            high, wide = random.integers(2, max(3, height // 2)), random.integers(2, max(3, width // 2))
            picture[((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1] = label
    return pictures


def with_rim(labels: np.ndarray) -> np.ndarray:
    labels = labels.copy()
    for picture in labels:
        objects = picture > 0
        picture[ndimage.binary_dilation(objects, np.ones((3, 3))) & ~objects] = VOID
    return labels


def cases() -> dict[str, Case]:
    random = np.random.default_rng(20211)

    def case(labels: np.ndarray, classes: int, spread: float) -> Case:
        n, height, width = labels.shape
        return Case(labels, random.normal(0, spread, (n, classes, height, width)))

    noise = random.integers(0, 4, (2, 8, 7))
    noise[random.random(noise.shape) < 0.2] = VOID
    one_void = with_rim(blobs(random, 2, 12, 10, [1, 2]))
    one_void[0] = VOID
    return {
        "objects with void rims": case(with_rim(blobs(random, 2, 16, 14, [1, 2, 3])), 4, 1.5),
        "noise": case(noise, 4, 1.0),
        "no void": case(blobs(random, 2, 10, 12, [1, 2]), 3, 1.0),
        "classes that the batch lacks": case(with_rim(blobs(random, 2, 9, 11, [2, 5])), 7, 1.0),
        "one picture wholly void": case(one_void, 3, 2.0),
        "one class fills a picture": case(
            np.concatenate([np.full((1, 8, 8), 1), blobs(random, 1, 8, 8, [1, 2])]), 3, 1.0
        ),
        "confident": case(blobs(random, 1, 14, 14, [1, 2]), 3, 3.0),
    }


def encoded(value: float, gradient) -> dict:
    return {"value": value, "gradient": np.asarray(gradient).ravel().tolist()}


def fixture() -> dict:
    random = np.random.default_rng(7)
    built = []
    for name, case in cases().items():
        losses = {key: encoded(*loss(case)) for key, loss in LOSSES.items()}
        surrogates = []
        for asl in CURVES:
            places, slopes = differences(case, asl, random.permutation(np.flatnonzero(case.yhat > 1e-3)))
            value = asl_value(case, asl, case.yhat)
            surrogates.append({"asl": asl, "places": places, **encoded(value, slopes)})
        library, gradient = rescaled(
            case,
            JaccardLoss("multiclass", from_logits=False)
            if not (case.labels == VOID).any()
            else lambda yhat, labels, case=case: jaccard_without_void(case, yhat, labels),
        )
        assert abs(library - surrogates[0]["value"]) < 1e-6, (name, library, surrogates[0]["value"])
        places = surrogates[0]["places"]
        assert np.allclose(gradient.ravel()[places], surrogates[0]["gradient"], atol=1e-7), name
        built.append(
            {
                "name": name,
                "shape": list(case.yhat.shape),
                "labels": case.labels.ravel().tolist(),
                "yhat": case.yhat.ravel().tolist(),
                "losses": losses,
                "surrogates": surrogates,
            }
        )
    return {
        "schema": 1,
        "torch": torch.__version__,
        "smp": version("segmentation-models-pytorch"),
        "torchmetrics": version("torchmetrics"),
        "cases": built,
    }


def jaccard_without_void(case: Case, yhat: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The library's loss has no void: it is given the pixels that count as one picture's row."""
    keep = labels != VOID
    pixels = yhat.permute(0, 2, 3, 1)[keep].T[None, :, None, :]
    return JaccardLoss("multiclass", from_logits=False)(pixels, labels[keep][None, None, :])


def main() -> None:
    check = check_wanted(__doc__)
    torch.set_num_threads(1)
    built = fixture()
    if check:
        versions = ["torch", "smp", "torchmetrics"]
        compare(built, FIXTURE, f"{len(built['cases'])} cases", TOLERANCE, ignored=versions)
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    head = ",".join(f"{json.dumps(key)}:{json.dumps(built[key])}" for key in built if key != "cases")
    cases_text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in built["cases"])
    FIXTURE.write_text(f'{{{head},"cases":[\n{cases_text}\n]}}\n')
    print(f"{len(built['cases'])} cases, {FIXTURE.stat().st_size} bytes in {FIXTURE}")


if __name__ == "__main__":
    main()
