#!/usr/bin/env python3
"""Oracle of the data sets' reader: what Pillow and numpy see in real PASCAL VOC photographs and masks.

    cargo xtask samples                         # the photographs
    venv/bin/python voc_folder.py               # writes the fixtures of the Rust test
    venv/bin/python voc_folder.py --check       # recomputes them and compares with the committed ones

For each sample of the three folders that labelme wrote: size, pixels of every class, mean colour, and the
same after reducing the longer side (Pillow's bilinear filter, nearest labels). For each folder: the scores
of a prediction that is the mask shifted by (3, 5) pixels, by the definitions in segmentation_metrics.py;
torchmetrics' confusion matrix must agree with mIoU here already. Besides: small JPEGs of every kind that
Pillow writes, a reduced picture byte by byte, and an interlaced palette PNG, made by hand since no common
encoder writes one.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from segmentation_metrics import class_iou, mean_where_defined, score
from shared.comparison import check_wanted, largest_difference
from torchmetrics.classification import MulticlassConfusionMatrix

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
        matrix.update(
            torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(target.astype(np.int64))
        )
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
        samples.append(
            {
                "name": path.stem,
                "width": photograph.width,
                "height": photograph.height,
                "mean_colour": mean_colour(photograph),
                "labels": histogram(target),
                "reduced": reduced(photograph, mask),
            }
        )
        pairs.append((disturbed(target), target))
    scores = score(pairs, len(classes), 5, 5)
    agree_with_torchmetrics(pairs, len(classes), scores)
    del scores["class"]
    return {"name": name, "classes": classes, "samples": samples, "scores": scores}


def drawing(height: int, width: int) -> np.ndarray:
    """Smooth colours with one hard edge, no two channels alike."""
    rows, columns = np.mgrid[:height, :width]
    planes = [8 * columns + 2 * rows, 120 + 90 * np.sin(rows / 3), np.where(columns > width / 2, 210, 40)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def jpegs() -> list[dict]:
    picture = Image.fromarray(drawing(24, 33))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    kinds = {
        "4:4:4": (picture, {"subsampling": 0}),
        "4:2:2": (picture, {"subsampling": 1}),
        "4:2:0": (picture, {"subsampling": 2}),
        "progressive": (picture, {"progressive": True, "subsampling": 2}),
        "optimised tables": (picture, {"optimize": True}),
        "restart markers": (picture, {"restart_marker_rows": 1}),
        "grey": (picture.convert("L"), {}),
        "grey, progressive": (picture.convert("L"), {"progressive": True}),
        "turned by EXIF": (picture, {"exif": rotated}),
        "RGB stored as such": (picture, {"keep_rgb": True}),
        "CMYK": (picture.convert("CMYK"), {}),
    }
    written = []
    for kind, (image, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92, **options)
        decoded = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
        written.append(
            {
                "kind": kind,
                "jpeg": buffer.getvalue().hex(),
                "height": decoded.height,
                "width": decoded.width,
                "rgb": decoded.tobytes().hex(),
            }
        )
    return written


def reductions() -> list[dict]:
    def reduce(height: int, width: int, longest: int) -> dict:
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        scale = longest / max(height, width)
        size = (int(width * scale + 0.5), int(height * scale + 0.5))
        small = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        labels = Image.fromarray(picture[..., 0].copy()).resize(size, Image.Resampling.NEAREST)
        return {
            "height": height,
            "width": width,
            "longest": longest,
            "rgb": picture.tobytes().hex(),
            "small": small.tobytes().hex(),
            "labels": labels.tobytes().hex(),
        }

    # No centre falls exactly between two pixels, where rounding decides.
    return [reduce(13, 17, 7), reduce(21, 9, 19), reduce(31, 31, 1), reduce(5, 24, 8)]


def fixture() -> dict:
    if not SAMPLES.is_dir():
        sys.exit(f"{SAMPLES} is missing: run `cargo xtask samples` first")
    folders = [folder(name) for name in FOLDERS]
    return {
        "schema": 1,
        "shift": SHIFT,
        "longest": LONGEST,
        "folders": folders,
        "jpegs": jpegs(),
        "reductions": reductions(),
    }


def interlaced() -> bytes:
    """9x7 palette PNG, index (x + 2y) mod 8, stored in Adam7's seven passes."""
    rows, columns = np.mgrid[:7, :9]
    indices = ((columns + 2 * rows) % 8).astype(np.uint8)
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    data = b""
    for top, left, down, across in passes:
        part = indices[top::down, left::across]
        # A filter byte before every row; passes without pixels are not stored.
        data += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 9, 7, 8, 3, 0, 0, 1)
    palette = bytes(range(24))
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", palette)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )
    assert (np.asarray(Image.open(io.BytesIO(png))) == indices).all()
    return png


def main() -> None:
    check = check_wanted(__doc__)
    # Tuples become lists.
    built, png = json.loads(json.dumps(fixture())), interlaced()
    file, picture = FIXTURES / "voc_folder.json", FIXTURES / "interlaced.png"
    count = sum(len(folder["samples"]) for folder in built["folders"])
    if check:
        difference, place = largest_difference(built, json.loads(file.read_text()))
        stored = np.asarray(Image.open(picture))
        same = (stored == np.asarray(Image.open(io.BytesIO(png)))).all()
        print(f"{count} samples, largest difference {difference:.3g} at {place or '/'}")
        sys.exit(
            0
            if difference <= TOLERANCE and same
            else "the committed fixtures are not what this script computes"
        )
    picture.write_bytes(png)
    file.write_text(json.dumps(built, indent=1) + "\n")
    print(f"{count} samples, {file.stat().st_size} bytes in {file}")


if __name__ == "__main__":
    main()
