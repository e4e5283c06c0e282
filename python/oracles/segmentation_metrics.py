#!/usr/bin/env python3
"""Oracle of the segmentation metrics: mIoU, FWIoU, gAcc, mAcc, BIoU, BF1.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python segmentation_metrics.py           # writes the fixture of the Rust test
    venv/bin/python segmentation_metrics.py --check   # recomputes it and compares with the committed one

Written from the definitions of Auto-Seg-Loss (ICLR 2021), with 0/1 planes, means and maximum filters of
scipy, class by class and in floating point; the Rust side works with bit sets and neighbour
comparisons. Cases have void, absent classes, classes only predicted, whole pictures of one class,
pictures smaller than the window, other radii and tolerances, and more than 64 classes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import ndimage
from shared.comparison import check_wanted, compare

FIXTURE = (
    Path(__file__).resolve().parents[2]
    / "plugins"
    / "vision"
    / "tests"
    / "fixtures"
    / "segmentation_metrics.json"
)
TOLERANCE = 1e-12


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return (labels[None] == np.arange(classes)[:, None, None]).astype(float)


def edge_planes(labels: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of a class whose 3x3 mean of the class's plane, padding not counted, is not 1."""
    window = np.ones((3, 3))
    inside = ndimage.convolve(np.ones(labels.shape), window, mode="constant", cval=0.0)
    planes = one_hot(labels, classes)
    means = [ndimage.convolve(plane, window, mode="constant", cval=0.0) / inside for plane in planes]
    return (planes == 1) & (np.array(means) != 1)


def dilated(plane: np.ndarray, radius: int) -> np.ndarray:
    return ndimage.maximum_filter(plane.astype(np.uint8), size=2 * radius + 1, mode="constant", cval=0) > 0


def confusion(prediction: np.ndarray, target: np.ndarray, counted: np.ndarray, classes: int) -> np.ndarray:
    counted = counted & (prediction < classes) & (target < classes)
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (target[counted].astype(int), prediction[counted].astype(int)), 1)
    return matrix


def class_iou(matrix: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        hits = np.diag(matrix)
        return hits / (matrix.sum(0) + matrix.sum(1) - hits)


def mean_where_defined(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else 0.0


def score(pictures: list[tuple[np.ndarray, np.ndarray]], classes: int, radius: int, tolerance: int) -> dict:
    everywhere = np.zeros((classes, classes))
    in_band = np.zeros((classes, classes))
    # By class: edges predicted, of them matched, edges in the target, of them matched.
    edges = np.zeros((4, classes))
    for prediction, target in pictures:
        everywhere += confusion(prediction, target, np.ones(target.shape, bool), classes)
        predicted_edges, target_edges = edge_planes(prediction, classes), edge_planes(target, classes)
        band = (
            dilated(np.any(target_edges[1:], axis=0), radius) if classes > 1 else np.zeros(target.shape, bool)
        )
        in_band += confusion(prediction, target, band, classes)
        for label in range(classes):
            ours, theirs = predicted_edges[label], target_edges[label]
            edges[:, label] += [
                ours.sum(),
                (ours & dilated(theirs, tolerance)).sum(),
                theirs.sum(),
                (theirs & dilated(ours, tolerance)).sum(),
            ]
    return scores_of(everywhere, in_band, edges)


def scores_of(everywhere: np.ndarray, in_band: np.ndarray, edges: np.ndarray) -> dict:
    iou = class_iou(everywhere)
    with np.errstate(invalid="ignore"):
        recall = np.diag(everywhere) / everywhere.sum(1)
        frequency = everywhere.sum(1) / everywhere.sum()
    f1 = np.full(len(iou), np.nan)
    for label, (predicted, matched, target, found) in enumerate(edges.T):
        if target:
            precision = matched / predicted if predicted else 0.0
            both = precision + found / target
            f1[label] = 2 * precision * (found / target) / both if both else 0.0
    return {
        "mIoU": mean_where_defined(iou),
        "FWIoU": float(np.nansum(frequency * np.nan_to_num(iou))),
        "gAcc": float(np.trace(everywhere) / everywhere.sum()),
        "mAcc": mean_where_defined(recall),
        "BIoU": mean_where_defined(class_iou(in_band)),
        "BF1": mean_where_defined(f1[1:]),
        "class": {
            name: [None if np.isnan(value) else float(value) for value in values]
            for name, values in (
                ("iou", iou),
                ("accuracy", recall),
                ("boundary_iou", class_iou(in_band)),
                ("boundary_f1", f1),
            )
        },
    }


def blobs(random: np.random.Generator, height: int, width: int, labels: list[int]) -> np.ndarray:
    """Background with a few rectangles and ellipses of random labels."""
    picture = np.zeros((height, width), np.uint16)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(random.integers(2, 6)):
        y, x = random.integers(0, height), random.integers(0, width)
        high, wide = random.integers(2, max(3, height // 2)), random.integers(2, max(3, width // 2))
        distance = (np.abs(rows - y) / high, np.abs(columns - x) / wide)
        inside = (
            distance[0] ** 2 + distance[1] ** 2 < 1 if random.random() < 0.5 else np.maximum(*distance) < 1
        )
        picture[inside] = random.choice(labels)
    return picture


def with_rim(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A copy with a void rim just outside of every object and a few void specks."""
    picture = picture.copy()
    foreground = picture > 0
    picture[ndimage.binary_dilation(foreground, np.ones((3, 3))) & ~foreground] = 255
    picture[random.random(picture.shape) < 0.01] = 255
    return picture


def disturbed(random: np.random.Generator, picture: np.ndarray, labels: list[int]) -> np.ndarray:
    """A plausible prediction: the objects moved by a few pixels, some relabelled, with some noise."""
    shift = random.integers(-4, 5, size=2)
    moved = np.roll(picture, tuple(shift), (0, 1))
    if random.random() < 0.5:
        moved[moved == random.choice(labels)] = random.choice(labels)
    noise = random.random(picture.shape) < 0.02
    moved[noise] = random.choice(labels, size=int(noise.sum()))
    return moved


def cases() -> list[dict]:
    random = np.random.default_rng(20210514)
    built = []

    def case(name: str, classes: int, pictures: list, radius: int = 5, tolerance: int = 5) -> None:
        built.append(
            {
                "name": name,
                "classes": classes,
                "radius": radius,
                "tolerance": tolerance,
                "pictures": [(p.astype(np.uint16), t.astype(np.uint16)) for p, t in pictures],
            }
        )

    def ordinary(classes: int, shapes: list[tuple[int, int]], used: list[int] | None = None) -> list:
        used = used or list(range(classes))
        targets = [blobs(random, height, width, used) for height, width in shapes]
        return [(disturbed(random, target, used), with_rim(random, target)) for target in targets]

    def noise(classes: int, height: int, width: int, void: float) -> np.ndarray:
        labels = random.integers(0, classes, (height, width))
        return np.where(random.random((height, width)) < void, 255, labels)

    case("objects with void rims", 11, ordinary(11, [(48, 64), (64, 48), (56, 56)]))
    case("VOC's number of classes", 21, ordinary(21, [(60, 80), (80, 60)]))
    case("classes that never occur", 9, ordinary(9, [(40, 40)] * 2, [0, 2, 5]))
    target = [with_rim(random, blobs(random, 40, 40, [0, 1, 2, 3])) for _ in range(2)]
    case("only background predicted", 4, [(np.zeros((40, 40)), t) for t in target])
    case("only objects predicted", 4, [(np.full((40, 40), 3), t) for t in target])
    case("a perfect prediction, rims apart", 4, [(np.where(t == 255, 0, t), t) for t in target])
    case("no object anywhere", 3, [(np.zeros((12, 12)), np.zeros((12, 12)))])
    case("objects predicted where there are none", 3, [(blobs(random, 24, 24, [1, 2]), np.zeros((24, 24)))])
    case(
        "one class fills the picture",
        3,
        [(np.full((10, 10), 1), np.full((10, 10), 1)), (np.full((10, 10), 2), np.full((10, 10), 1))],
    )
    case("noise", 5, [(noise(5, 20, 30, 0.0), noise(5, 20, 30, 0.2)) for _ in range(2)])
    case("void in the prediction too", 5, [(noise(5, 24, 24, 0.3), noise(5, 24, 24, 0.3))])
    case(
        "one picture wholly void",
        6,
        [(noise(6, 16, 16, 0.0), np.full((16, 16), 255))] + ordinary(6, [(32, 32)]),
    )
    case(
        "pictures smaller than the window",
        3,
        [(noise(3, h, w, 0.0), noise(3, h, w, 0.1)) for h, w in [(1, 1), (1, 7), (6, 1), (2, 3), (4, 4)]],
    )
    case("narrow band, wide tolerance", 6, ordinary(6, [(48, 40)] * 2), 1, 7)
    case("no tolerance", 6, ordinary(6, [(40, 48)] * 2), 3, 0)
    case("edges alone as band", 6, ordinary(6, [(40, 48)] * 2), 0, 2)
    case("radii beyond the picture", 4, ordinary(4, [(20, 24)]), 100, 60)
    case("background alone", 1, [(noise(1, 8, 8, 0.2), noise(1, 8, 8, 0.2))])
    case("two classes", 2, ordinary(2, [(50, 50)] * 2))
    case("64 classes fill a word", 64, ordinary(64, [(48, 48)] * 3))
    case(
        "more classes than a word holds",
        150,
        ordinary(150, [(64, 64)] * 3) + [(noise(150, 16, 16, 0), noise(150, 16, 16, 0))],
    )
    case("labels beyond a byte", 300, ordinary(300, [(64, 64)] * 3))
    return built


def run_lengths(labels: np.ndarray) -> list[int]:
    """label, count, label, count, … row by row."""
    flat = labels.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    counts = np.diff(np.append(starts, flat.size))
    return np.stack([flat[starts], counts], axis=1).ravel().tolist()


def fixture() -> dict:
    encoded = []
    for case in cases():
        pictures = [
            {
                "height": t.shape[0],
                "width": t.shape[1],
                "prediction": run_lengths(p),
                "target": run_lengths(t),
            }
            for p, t in case["pictures"]
        ]
        scores = score(case["pictures"], case["classes"], case["radius"], case["tolerance"])
        encoded.append({**case, "pictures": pictures, "scores": scores})
    return {"schema": 1, "numpy": np.__version__, "cases": encoded}


def main() -> None:
    check = check_wanted(__doc__)
    built = fixture()
    if check:
        compare(built, FIXTURE, f"{len(built['cases'])} cases", TOLERANCE, ignored=["numpy"])
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    cases_text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in built["cases"])
    FIXTURE.write_text(f'{{"schema":1,"numpy":"{built["numpy"]}","cases":[\n{cases_text}\n]}}\n')
    print(f"{len(built['cases'])} cases, {FIXTURE.stat().st_size} bytes in {FIXTURE}")


if __name__ == "__main__":
    main()
