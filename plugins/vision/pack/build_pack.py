#!/usr/bin/env python3
"""Builds the embedded pack: clothing items with masks, and background photographs.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python build_pack.py            # writes the pack beside this script
    venv/bin/python build_pack.py --check    # rebuilds it and compares it with the committed one

Inputs, each pinned by version and SHA-256:

* Fashion-MNIST (MIT) from Debian's package `dataset-fashion-mnist`, by `apt-get download`
  (run `apt-get update` first) or from a file, `--deb FILE`;
* ten photographs (CC0 or public domain) that ship inside the PyPI wheel of scikit-image, by
  `pip download` or from a file, `--wheel FILE`.

Outputs, beside this script:

* `items.png`       2,000 grey 28x28 tiles, 50 a row, in the order of `pack.json`;
* `masks.png`       the same tiles as 1-bit masks;
* `background-NAME.png`  four regions of one photograph, 2x2, in the order of `Split`;
* `pack.json`       classes, items, backgrounds, sources, versions, hashes.

How the splits are made
-----------------------
Items: 200 a class, of which 100 train, 30 reward, 30 selection and 40 test. The test items come from
Fashion-MNIST's own test file, the others from its training file, in file order. Poor masks and
near-duplicates of an item already taken are passed over.

Backgrounds: with ten photographs, whole photographs to a split would leave two or three for each of
the held-out ones, and a score would say more about which photographs these are than about the loss.
So every photograph is cut into its four quadrants, and each split gets one quadrant of each
photograph: the splits hold different pixels but the same mix of subjects. Between quadrants lies a
gap of 16 source pixels, wider than a JPEG block and than any resampling here, so no source pixel
reaches two splits; each quadrant is resized by itself. Which quadrant goes where rotates from
photograph to photograph, so that no split always has the sky or always the ground.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

HERE = Path(__file__).resolve().parent

DEB = {
    "package": "dataset-fashion-mnist",
    "version": "0.0~git20200523.55506a9-1",
    "sha256": "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
}
DEB_FOLDER = "usr/share/datasets/fashion-mnist"
IDX_SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}

# One build of the wheel is named so that the download is the same everywhere; the photographs are
# data and are checked one by one.
WHEEL = {
    "package": "scikit-image",
    "version": "0.26.0",
    "python": "3.11",
    "platform": "manylinux_2_28_x86_64",
    "sha256": "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
}
# name: (file, SHA-256, the square or rectangle used (left, top, right, bottom) or None for all,
#        licence, credit)
PHOTOGRAPHS = {
    "brick": (
        "brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf", None,
        "CC0-1.0", "CC0Textures, Bricks25",
    ),
    "grass": (
        "grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89", None,
        "CC0-1.0", "linolafett, DeviantArt, Grass 01",
    ),
    "gravel": (
        "gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12", None,
        "CC0-1.0", "CC0Textures, Gravel04",
    ),
    "camera": (
        "camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a", None,
        "CC0-1.0", "Lav Varshney",
    ),
    "coffee": (
        "coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", None,
        "CC0-1.0", "Rachel Michetti, courtesy of Pikolo Espresso Bar",
    ),
    "chelsea": (
        "chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", None,
        "CC0-1.0", "Stefan van der Walt",
    ),
    # The square inside the round picture, without the black frame.
    "retina": (
        "retina.jpg", "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        (216, 216, 1196, 1196), "CC0-1.0", "Mikael Häggström, WikiJournal of Medicine 1 (2), 2014",
    ),
    "astronaut": (
        "astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5", None,
        "public domain", "NASA Great Images database, Eileen Collins",
    ),
    "rocket": (
        "rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c", None,
        "public domain", "SpaceX Photos, launch of DSCOVR on Falcon 9",
    ),
    "hubble_deep_field": (
        "hubble_deep_field.jpg", "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        None, "public domain", "NASA, HubbleSite, Hubble eXtreme Deep Field",
    ),
}

SPLITS = ["train", "reward", "selection", "test"]
PER_CLASS = {"train": 100, "reward": 30, "selection": 30, "test": 40}
CLASSES = [
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
]

TILE = 28
TILES_PER_ROW = 50
GAP = 16  # source pixels between two quadrants
REGION = 160  # short side of a region in the pack, pixels; never enlarged

FOREGROUND = 24  # grey values above it are item
MIN_AREA = 120  # pixels of a mask
MIN_LONG_SIDE = 20  # pixels
MIN_LARGEST_SHARE = 0.95  # of the closed foreground, in its largest component
MAX_FILLED_SHARE = 0.30  # of the mask, added by filling holes
MIN_DIFFERENCE = 6.0  # mean absolute grey difference to every item already taken


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checked(data: bytes, expected: str, what: str) -> bytes:
    found = sha256(data)
    if found != expected:
        sys.exit(f"{what}: SHA-256 is {found}, expected {expected}")
    return data


def read_idx_files(deb: Path | None, scratch: Path) -> dict[str, np.ndarray]:
    if deb is None:
        wanted = f"{DEB['package']}={DEB['version']}"
        subprocess.run(["apt-get", "download", wanted], cwd=scratch, check=True)
        deb = next(scratch.glob(f"{DEB['package']}_*.deb"))
    checked(deb.read_bytes(), DEB["sha256"], deb.name)
    unpacked = scratch / "deb"
    subprocess.run(["dpkg", "-x", str(deb), str(unpacked)], check=True)
    return {name: read_idx(unpacked / DEB_FOLDER / name, digest) for name, digest in IDX_SHA256.items()}


def read_idx(path: Path, digest: str) -> np.ndarray:
    data = gzip.decompress(checked(path.read_bytes(), digest, path.name))
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_photographs(wheel: Path | None, scratch: Path) -> dict[str, np.ndarray]:
    if wheel is None:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
             "--python-version", WHEEL["python"], "--platform", WHEEL["platform"], "--dest", str(scratch),
             f"{WHEEL['package']}=={WHEEL['version']}"],
            check=True,
        )
        wheel = next(scratch.glob("scikit_image-*.whl"))
    checked(wheel.read_bytes(), WHEEL["sha256"], wheel.name)
    pictures = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, (file, digest, window, _, _) in PHOTOGRAPHS.items():
            data = checked(archive.read(f"skimage/data/{file}"), digest, file)
            picture = Image.open(io.BytesIO(data))
            picture = picture.convert("L" if picture.mode == "L" else "RGB")
            pictures[name] = np.asarray(picture.crop(window) if window else picture)
    return pictures


def item_mask(tile: np.ndarray) -> np.ndarray | None:
    """The item's mask, or None where it is poor: x > 24, close, largest component, fill holes."""
    # The cross closes cracks in an item and leaves more of the gap between two trouser legs than a
    # full 3x3 would. Closing erodes from the frame inwards unless there is room around the tile.
    cross = ndimage.generate_binary_structure(2, 1)
    closed = ndimage.binary_closing(np.pad(tile > FOREGROUND, 2), cross)[2:-2, 2:-2]
    components, count = ndimage.label(closed, np.ones((3, 3), bool))
    if count == 0:
        return None
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest = components == sizes.argmax()
    mask = ndimage.binary_fill_holes(largest)
    area = int(mask.sum())
    rows, columns = np.any(mask, axis=1), np.any(mask, axis=0)
    long_side = max(np.ptp(np.flatnonzero(rows)), np.ptp(np.flatnonzero(columns))) + 1
    good = (
        area >= MIN_AREA
        and long_side >= MIN_LONG_SIDE
        and largest.sum() >= MIN_LARGEST_SHARE * closed.sum()
        and area - largest.sum() <= MAX_FILLED_SHARE * area
    )
    return mask if good else None


def pick_items(idx: dict[str, np.ndarray]) -> tuple[list[dict], dict[str, int]]:
    """200 items a class in the order class, split, file; and how many were passed over, by reason."""
    items, passed_over = [], {"poor mask": 0, "near-duplicate": 0}
    for label in range(len(CLASSES)):
        taken: list[np.ndarray] = []
        cursor = {"train": 0, "t10k": 0}
        for split in SPLITS:
            file = "t10k" if split == "test" else "train"
            tiles = idx[f"{file}-images-idx3-ubyte.gz"]
            labels = idx[f"{file}-labels-idx1-ubyte.gz"]
            wanted = PER_CLASS[split]
            while wanted:
                index = cursor[file]
                cursor[file] += 1
                if labels[index] != label:
                    continue
                tile = tiles[index]
                mask = item_mask(tile)
                if mask is None:
                    passed_over["poor mask"] += 1
                    continue
                grey = tile.astype(np.float64)
                if any(np.abs(grey - other).mean() < MIN_DIFFERENCE for other in taken):
                    passed_over["near-duplicate"] += 1
                    continue
                taken.append(grey)
                items.append({"class": label, "split": split, "file": file, "index": index,
                              "tile": tile, "mask": mask})
                wanted -= 1
    return items, passed_over


def atlas(tiles: list[np.ndarray]) -> np.ndarray:
    rows = -(-len(tiles) // TILES_PER_ROW)
    sheet = np.zeros((rows * TILE, TILES_PER_ROW * TILE), np.uint8)
    for position, tile in enumerate(tiles):
        top, left = TILE * (position // TILES_PER_ROW), TILE * (position % TILES_PER_ROW)
        sheet[top : top + TILE, left : left + TILE] = tile
    return sheet


def quadrants(picture: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Equal quadrants (left, top, right, bottom) with a gap between them, in reading order."""
    height, width = picture.shape[:2]
    high, wide = (height - GAP) // 2, (width - GAP) // 2
    return [
        (left, top, left + wide, top + high)
        for top in (0, height - high)
        for left in (0, width - wide)
    ]


def background(picture: np.ndarray, rotation: int) -> tuple[np.ndarray, dict[str, list[int]]]:
    """The 2x2 sheet of regions in the order of the splits, and each split's source rectangle."""
    boxes = quadrants(picture)
    left, top, right, bottom = boxes[0]
    scale = min(1.0, REGION / min(right - left, bottom - top))
    size = (round((right - left) * scale), round((bottom - top) * scale))
    chosen = [boxes[(number + rotation) % 4] for number in range(4)]
    regions = [
        np.asarray(Image.fromarray(picture[t:b, l:r]).resize(size, Image.Resampling.BOX))
        for l, t, r, b in chosen
    ]
    sheet = np.concatenate(
        [np.concatenate(regions[:2], axis=1), np.concatenate(regions[2:], axis=1)], axis=0
    )
    return sheet, {split: list(box) for split, box in zip(SPLITS, chosen)}


def png(pixels: np.ndarray, bits: int = 8) -> bytes:
    picture = Image.fromarray(pixels)
    if bits == 1:
        picture = Image.fromarray(pixels * 255).convert("1", dither=Image.Dither.NONE)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def build(deb: Path | None, wheel: Path | None) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """The pack's files by name, and the pixels of its pictures by name."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        items, passed_over = pick_items(read_idx_files(deb, scratch))
        pictures = read_photographs(wheel, scratch)

    pixels = {
        "items.png": atlas([item["tile"] for item in items]),
        "masks.png": atlas([item["mask"].astype(np.uint8) for item in items]),
    }
    backgrounds = []
    for number, (name, picture) in enumerate(pictures.items()):
        file, digest, window, licence, credit = PHOTOGRAPHS[name]
        sheet, source_boxes = background(picture, number)
        pixels[f"background-{name}.png"] = sheet
        entry = {
            "name": name, "file": f"background-{name}.png",
            "width": sheet.shape[1] // 2, "height": sheet.shape[0] // 2,
            "source": {"file": file, "sha256": digest, "licence": licence, "credit": credit,
                       "boxes": source_boxes},
        }
        if window:
            entry["source"]["window"] = list(window)
        backgrounds.append(entry)
    files = {name: png(data, 1 if name == "masks.png" else 8) for name, data in pixels.items()}
    files["pack.json"] = manifest(items, backgrounds, pixels, passed_over).encode()
    return files, pixels


def manifest(items: list[dict], backgrounds: list[dict], pixels: dict, passed_over: dict) -> str:
    head = {
        "schema": 1,
        "sources": {
            "items": {**DEB, "licence": "MIT", "files": IDX_SHA256},
            "backgrounds": WHEEL,
        },
        "passed_over": passed_over,
        "tile": TILE,
        "tiles_per_row": TILES_PER_ROW,
        "classes": CLASSES,
        "splits": SPLITS,
        # Of the decoded pixels, row by row: PNG encoders differ in bytes, never in pixels.
        "pixels_sha256": {name: sha256(np.ascontiguousarray(data).tobytes()) for name, data in pixels.items()},
        "backgrounds": backgrounds,
        "item_columns": ["class", "split", "file", "index"],
    }
    rows = [[item["class"], SPLITS.index(item["split"]), item["file"], item["index"]] for item in items]
    # One line for the two thousand rows would be unreadable in a diff, one line each too long.
    lines = ",\n".join(
        "    " + ", ".join(json.dumps(row, separators=(",", ":")) for row in rows[start : start + 8])
        for start in range(0, len(rows), 8)
    )
    body = json.dumps(head, indent=2, ensure_ascii=False)
    return body[: body.rindex("\n}")] + ',\n  "items": [\n' + lines + "\n  ]\n}\n"


def compare(files: dict[str, bytes], pixels: dict[str, np.ndarray]) -> list[str]:
    """What differs from the committed pack: pixels of pictures, text of the manifest."""
    differences = []
    for name, expected in pixels.items():
        try:
            found = np.asarray(Image.open(HERE / name)).astype(np.uint8)
        except OSError as error:
            differences.append(f"{name}: {error}")
            continue
        if found.shape != expected.shape or not np.array_equal(found, expected):
            differences.append(f"{name}: pixels differ")
    committed = HERE / "pack.json"
    if not committed.exists() or committed.read_bytes() != files["pack.json"]:
        differences.append("pack.json differs")
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deb", type=Path, help="the Debian package, already downloaded")
    parser.add_argument("--wheel", type=Path, help="the scikit-image wheel, already downloaded")
    parser.add_argument("--check", action="store_true", help="compare with the committed pack, write nothing")
    arguments = parser.parse_args()

    files, pixels = build(
        arguments.deb.resolve() if arguments.deb else None,
        arguments.wheel.resolve() if arguments.wheel else None,
    )
    if arguments.check:
        differences = compare(files, pixels)
        if differences:
            sys.exit("the committed pack is not what this script builds:\n  " + "\n  ".join(differences))
        print(f"the committed pack matches: {len(pixels)} pictures and pack.json")
        return
    for name, data in files.items():
        (HERE / name).write_bytes(data)
        print(f"{len(data):>9} {name}")
    print(f"{sum(map(len, files.values())):>9} in all")


if __name__ == "__main__":
    main()
