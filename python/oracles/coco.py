#!/usr/bin/env python3
"""Oracle of COCO's scores and masks: pycocotools.

    cargo xtask samples                         # the real annotations
    venv/bin/python coco.py                     # writes the fixture of the Rust test
    venv/bin/python coco.py --check             # recomputes it and compares with the committed one

Two real annotation files, labelme's (annotation, image and category ids from 0) and sahi's (an area that is
the whole picture's), whose annotations are not ours to store: the fixture has the detections and the twelve
scores alone. Detections are the annotated boxes, moved and relabelled at random, and some anywhere. Drawn
annotations besides: a large set with crowds, all sizes, equal scores, more than 100 detections of a class in
a picture and odd boxes; many small ones with the annotation id 0 in them; and those in which something is
missing. For annotations that have only a mask: its area and box.

Coordinates of detections are multiples of 1/16, which float32 holds exactly in either form of a box.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import sys
from pathlib import Path

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from shared.comparison import check_wanted, compare

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / ".samples"
REAL = {
    "labelme": SAMPLES
    / "labelme"
    / "examples"
    / "instance_segmentation"
    / "data_dataset_coco"
    / "annotations.json",
    "sahi": SAMPLES / "sahi" / "terrain2_coco.json",
}
FIXTURE = ROOT / "plugins" / "vision" / "tests" / "fixtures" / "coco.json"
NAMES = ["mAP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
HEIGHT, WIDTH = 480, 640
SMALL_SETS = 40
TOLERANCE = 1e-12


def indexed(dataset: dict) -> COCO:
    coco = COCO()
    coco.dataset = copy.deepcopy(dataset)
    coco.createIndex()
    return coco


def scores(truth: dict, detections: list[list]) -> dict[str, float | None]:
    """pycocotools' twelve numbers; None where it says -1."""
    results = [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, *box, score in detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = indexed(truth)
        # loadRes looks at the first detection and so cannot read none.
        found = annotated.loadRes(results) if results else indexed({**truth, "annotations": []})
        evaluation = COCOeval(annotated, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: None if value == -1 else float(value) for name, value in zip(NAMES, evaluation.stats)}


def sixteenths(values) -> list[float]:
    return (np.round(np.asarray(values, float) * 16) / 16).tolist()


def score_of(random: np.random.Generator, steps: int) -> float:
    return float(random.integers(1, steps) / steps)


def jittered(random: np.random.Generator, truth: dict, each: float, anywhere: int, steps: int) -> list[list]:
    """About `each` detections of every object and `anywhere` besides in each picture; scores are multiples of
    1/`steps`, so that few steps make many equal ones."""
    categories = [category["id"] for category in truth["categories"]]
    detections = []
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        for _ in range(random.poisson(each)):
            spread = random.choice([0.02, 0.08, 0.2])
            moved = np.array([x, y]) + random.normal(0, spread, 2) * [abs(width), abs(height)]
            size = np.abs([width, height]) * np.exp(random.normal(0, spread, 2)) + 0.25
            category = annotation["category_id"] if random.random() < 0.9 else int(random.choice(categories))
            detections.append(
                [annotation["image_id"], category, *sixteenths([*moved, *size]), score_of(random, steps)]
            )
    for image in truth["images"]:
        for _ in range(anywhere):
            size = np.exp(random.uniform(1, 5.5, 2))
            corner = random.uniform(0, [image["width"], image["height"]])
            box = sixteenths([*corner, *size])
            detections.append([image["id"], int(random.choice(categories)), *box, score_of(random, steps)])
    random.shuffle(detections)
    return detections


def drawn(
    random: np.random.Generator,
    images: list[int],
    categories: list[int],
    objects: int,
    first_id: int,
    empty: list[int] = (),
) -> dict:
    """Annotations of `objects` boxes of all sizes, an eighth of them crowds; none of the categories `empty`."""
    used = [category for category in categories if category not in empty]
    ids = random.permutation(np.arange(first_id, first_id + objects)).tolist()
    annotations = []
    for number in ids:
        size = np.exp(random.uniform(1, 5.5, 2)).round(1)
        corner = (random.uniform(0, 1, 2) * ([WIDTH, HEIGHT] - size)).round(1)
        annotations.append(
            {
                "id": number,
                "image_id": int(random.choice(images)),
                "category_id": int(random.choice(used)),
                "bbox": [*corner.tolist(), *size.tolist()],
                # A mask fills a part of its box.
                "area": round(float(size.prod() * random.uniform(0.5, 1)), 1),
                "iscrowd": int(random.random() < 0.125),
            }
        )
    return {
        "images": [
            {"id": image, "file_name": f"{image}.jpg", "height": HEIGHT, "width": WIDTH} for image in images
        ],
        "annotations": annotations,
        "categories": [{"id": category, "name": f"c{category}"} for category in categories],
    }


def large() -> tuple[dict, list[list]]:
    random = np.random.default_rng(1)
    truth = drawn(random, [9, 0, 4, 77, 5, 12], [3, 7, 0, 12], 90, 1, empty=[12])
    odd = [
        [100.0, 100.0, 0.0, 40.0],
        [700.0, 500.0, 30.0, 30.0],
        [300.0, 200.0, -20.0, -30.0],
        [-10.0, -10.0, 60.0, 50.0],
    ]
    for number, box in enumerate(odd):
        truth["annotations"].append(
            {
                "id": 500 + number,
                "image_id": 4,
                "category_id": 7,
                "bbox": box,
                "area": abs(box[2] * box[3]),
                "iscrowd": 0,
            }
        )
    detections = jittered(random, truth, 2, 8, 16)
    # More than are counted, among them the right ones, with few different scores.
    crowded = {
        **truth,
        "images": [truth["images"][0]],
        "annotations": [a for a in truth["annotations"] if a["image_id"] == 9 and a["category_id"] == 3],
    }
    many = {**crowded, "categories": [truth["categories"][0]]}
    return truth, detections + jittered(random, many, 3, 125, 8)


def small(seed: int) -> tuple[dict, list[list]]:
    """Few objects near each other, so that detections compete for the one with the id 0."""
    random = np.random.default_rng(100 + seed)
    truth = drawn(random, [1, 2], [1, 2], 7, 0)
    for annotation in truth["annotations"]:
        if annotation["image_id"] == 1 and random.random() < 0.6:
            base = truth["annotations"][0]
            near = np.array(base["bbox"]) + random.normal(0, 0.1, 4) * [*base["bbox"][2:], *base["bbox"][2:]]
            annotation["bbox"] = near.round(1).tolist()
    return truth, jittered(random, truth, 2.5, 1, 8)


def lacking() -> dict[str, tuple[dict, list[list]]]:
    """Sets in which something is missing altogether."""
    random = np.random.default_rng(2)
    truth = drawn(random, [1, 2, 3], [1, 2], 12, 1)
    detections = jittered(random, truth, 1.5, 2, 64)
    crowds = copy.deepcopy(truth)
    for annotation in crowds["annotations"]:
        annotation["iscrowd"] = 1
    tiny = copy.deepcopy(truth)
    for annotation in tiny["annotations"]:
        annotation["area"] = 25.0
    return {
        "no detections": (truth, []),
        "no objects": ({**truth, "annotations": []}, detections),
        "nothing": ({**truth, "annotations": []}, []),
        "crowds alone": (crowds, detections),
        "small objects alone": (tiny, detections),
        "detections of one picture": (truth, [d for d in detections if d[0] == 2]),
        "detections of one class": (truth, [d for d in detections if d[1] == 2]),
    }


def real(number: int, name: str, file: Path) -> dict:
    if not file.is_file():
        sys.exit(f"{file} is missing: run `cargo xtask samples` first")
    truth = json.loads(file.read_text())
    detections = jittered(np.random.default_rng(10 + number), truth, 2.5, 4, 32)
    return {"name": name, "detections": detections, "scores": scores(truth, detections)}


def shape(random: np.random.Generator, kind: int, height: int, width: int):
    """A segmentation in one of the three forms that files have."""

    def polygon() -> list[float]:
        around = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
        radius = random.uniform(2, 0.7 * min(height, width), len(around))
        centre = random.uniform(0, [width, height])
        points = centre + np.stack([np.cos(around), np.sin(around)], 1) * radius[:, None]
        return points.round(2).reshape(-1).tolist()

    if kind == 0:
        return [polygon() for _ in range(random.integers(1, 4))]
    filled = (random.random((height, width)) < 0.02).astype(np.uint8)
    top, left = random.integers(0, height - 1), random.integers(0, width - 1)
    filled[top : top + random.integers(1, height), left : left + random.integers(1, width)] = 1
    if kind == 1:
        flat = filled.reshape(-1, order="F")
        edges = np.flatnonzero(np.diff(flat, prepend=0, append=2))
        return {"size": [height, width], "counts": np.diff(edges, prepend=0).tolist()}
    return {"size": [height, width], "counts": masks.encode(np.asfortranarray(filled))["counts"].decode()}


def only_masks() -> dict:
    """Annotations with nothing but a mask, and what pycocotools measures of it."""
    random = np.random.default_rng(3)
    height, width = 37, 53
    annotations, extents = [], []
    while len(annotations) < 45:
        number = len(annotations)
        segmentation = shape(random, number % 3, height, width)
        annotation = {
            "id": number + 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": segmentation,
            "iscrowd": number % 2,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            drawing = indexed({"images": [{"id": 1, "height": height, "width": width}]}).annToRLE(annotation)
        area = int(masks.area(drawing))
        if area:
            annotations.append(annotation)
            extents.append([area, *masks.toBbox(drawing).tolist()])
    return {
        "truth": {
            "images": [{"id": 1, "file_name": "1.jpg", "height": height, "width": width}],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "c1"}],
        },
        "extents": extents,
    }


def fixture() -> dict:
    sets = {"large": large(), **{f"small {seed}": small(seed) for seed in range(SMALL_SETS)}, **lacking()}
    return {
        "schema": 1,
        "real": [real(number, name, file) for number, (name, file) in enumerate(REAL.items())],
        "drawn": [
            {"name": name, "truth": truth, "detections": detections, "scores": scores(truth, detections)}
            for name, (truth, detections) in sets.items()
        ],
        "masks": only_masks(),
    }


def main() -> None:
    check = check_wanted(__doc__)
    # Tuples become lists.
    built = json.loads(json.dumps(fixture()))
    count = len(built["real"]) + len(built["drawn"])
    if check:
        compare(built, FIXTURE, f"{count} sets", TOLERANCE)
    FIXTURE.write_text(json.dumps(built, separators=(",", ":")) + "\n")
    print(f"{count} sets, {FIXTURE.stat().st_size} bytes in {FIXTURE}")


if __name__ == "__main__":
    main()
