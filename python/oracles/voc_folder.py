#!/usr/bin/env python3
"""Oracle of the data sets' reader: what Pillow and numpy see in real PASCAL VOC photographs and masks.

    cargo xtask samples                         # the photographs
    venv/bin/python voc_folder.py               # writes the fixtures of the Rust test
    venv/bin/python voc_folder.py --check       # recomputes them and compares with the committed ones

For each sample of the three folders that labelme wrote: size, pixels of every class, mean colour, and the
same after reducing the longer side (Pillow's bilinear filter, nearest labels). For each folder: the scores
of a prediction that is the mask shifted by (3, 5) pixels, by the definitions in segmentation_metrics.py;
torchmetrics' confusion matrix must agree with mIoU here already. Besides, an interlaced palette PNG, which
no common encoder writes, made by hand.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchmetrics.classification import MulticlassConfusionMatrix

from segmentation_metrics import class_iou, largest_difference, mean_where_defined, score

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / ".samples" / "labelme" / "examples"
FIXTURES = ROOT / "plugins" / "vision" / "tests" / "fixtures"
FOLDERS = ["semantic_segmentation", "instance_segmentation", "video_annotation"]
VOID = 255
SHIFT = (3, 5)
LONGEST = 250
TOLERANCE = 1e-12


def names_of_classes(folder: Path) -> list[str]:
    names = (folder / "class_names.txt").read_text().split("\n")
    return ["background" if name == "_background_" else name for name in names if name != "__ignore__"]


def histogram(mask: np.ndarray) -> dict[str, int]:
    return {str(label): int(count) for label, count in zip(*np.unique(mask, return_counts=True))}


def mean_colour(photograph: Image.Image) -> list[float]:
    return np.asarray(photograph, np.float64).mean((0, 1)).tolist()


def reduced(photograph: Image.Image, mask: Image.Image) -> dict:
    scale = LONGEST / max(photograph.size)
    size = tuple(int(side * scale + 0.5) for side in photograph.size)
    return {
        "width": size[0],
        "height": size[1],
        "mean_colour": mean_colour(photograph.resize(size, Image.Resampling.BILINEAR)),
        "labels": histogram(np.asarray(mask.resize(size, Image.Resampling.NEAREST))),
    }


def disturbed(mask: np.ndarray) -> np.ndarray:
    """The mask moved down and to the right round the edges, background where it was void."""
    moved = np.roll(mask, SHIFT, (0, 1))
    return np.where(moved == VOID, 0, moved)


def agree_with_torchmetrics(pairs: list, classes: int, scores: dict) -> None:
    matrix = MulticlassConfusionMatrix(classes, ignore_index=VOID)
    for prediction, target in pairs:
        matrix.update(torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(target.astype(np.int64)))
    mean = mean_where_defined(class_iou(matrix.compute().numpy().astype(float)))
    if abs(mean - scores["mIoU"]) > TOLERANCE:
        sys.exit(f"torchmetrics' mIoU is {mean!r}, ours {scores['mIoU']!r}")


def folder(name: str) -> dict:
    place = SAMPLES / name / "data_dataset_voc"
    classes = names_of_classes(place)
    samples, pairs = [], []
    for path in sorted((place / "SegmentationClassPNG").glob("*.png")):
        mask = Image.open(path)
        assert mask.mode == "P", path
        photograph = Image.open(place / "JPEGImages" / f"{path.stem}.jpg").convert("RGB")
        target = np.asarray(mask)
        samples.append({
            "name": path.stem,
            "width": photograph.width,
            "height": photograph.height,
            "mean_colour": mean_colour(photograph),
            "labels": histogram(target),
            "reduced": reduced(photograph, mask),
        })
        pairs.append((disturbed(target), target))
    scores = score(pairs, len(classes), 5, 5)
    agree_with_torchmetrics(pairs, len(classes), scores)
    del scores["class"]
    return {"name": name, "classes": classes, "samples": samples, "scores": scores}


def fixture() -> dict:
    if not SAMPLES.is_dir():
        sys.exit(f"{SAMPLES} is missing: run `cargo xtask samples` first")
    return {"schema": 1, "shift": SHIFT, "longest": LONGEST, "folders": [folder(name) for name in FOLDERS]}


def interlaced() -> bytes:
    """9x7 palette PNG, index (x + 2y) mod 8, stored in Adam7's seven passes."""
    rows, columns = np.mgrid[:7, :9]
    indices = ((columns + 2 * rows) % 8).astype(np.uint8)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for top, left, down, across in passes:
        part = indices[top::down, left::across]
        # A filter byte before every row; passes without pixels are not stored.
        data += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 9, 7, 8, 3, 0, 0, 1)
    palette = bytes(range(24))
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette)
           + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))
    assert (np.asarray(Image.open(io.BytesIO(png))) == indices).all()
    return png


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed fixtures, write nothing")
    # Tuples become lists.
    built, png = json.loads(json.dumps(fixture())), interlaced()
    file, picture = FIXTURES / "voc_folder.json", FIXTURES / "interlaced.png"
    count = sum(len(folder["samples"]) for folder in built["folders"])
    if parser.parse_args().check:
        difference, place = largest_difference(built, json.loads(file.read_text()))
        stored = np.asarray(Image.open(picture))
        same = (stored == np.asarray(Image.open(io.BytesIO(png)))).all()
        print(f"{count} samples, largest difference {difference:.3g} at {place or '/'}")
        sys.exit(0 if difference <= TOLERANCE and same else "the committed fixtures are not what this script computes")
    picture.write_bytes(png)
    file.write_text(json.dumps(built, indent=1) + "\n")
    print(f"{count} samples, {file.stat().st_size} bytes in {file}")


if __name__ == "__main__":
    main()
