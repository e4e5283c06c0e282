#!/usr/bin/env python3
"""Oracle of the fused engine: loss, and gradient with respect to the raw prediction, of random graphs.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python engine.py           # writes the fixture of the Rust test
    venv/bin/python engine.py --check   # recomputes the committed cases and compares

PyTorch's eager operators and its autograd in f64, through a softmax over the channels or the overlaps of
boxes, of one sample each; and once more in f32, whose own error says how much single precision determines of a graph, and whose
infinities and NaN are those that the engine must have. A gradient is stored as its norm and as sums of its
elements times fixed weights, in which no element is lost.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from operators import INPUTS, OPERATORS, norm, parse, random_text, read, root_of, written  # noqa: E402
from shared.comparison import check_wanted, largest_difference  # noqa: E402

FIXTURE = Path(__file__).resolve().parents[2] / "host" / "engine" / "tests" / "fixtures" / "graphs.json"
GRAPHS = 2000
BOX_GRAPHS = 300
AREAS = ("i", "u", "e")
WEIGHTS = 3
TOLERANCE = 1e-6
SHAPES = [(5, 9, 13), (3, 8, 8), (11, 4, 5), (2, 1, 17), (21, 3, 3)]
BOX_SHAPES = [(8, 8), (1, 70), (5, 3)]


def problem(random: np.random.Generator, shape: tuple[int, int, int]) -> dict:
    """Raw predictions, and one-hot targets of regions; a tenth of the positions is void."""
    channels, height, width = shape
    raw = random.normal(0.0, 1.0, shape).astype(np.float32)
    rows, columns = np.indices((height, width))
    labels = (rows * 3 // height + columns * 4 // width) % channels
    valid = (random.random((height, width)) >= 0.1).astype(np.float32)
    y = (np.arange(channels)[:, None, None] == labels) * valid
    return {"shape": list(shape), "raw": written(raw), "y": written(y), "valid": written(valid)}


def box_problem(random: np.random.Generator, shape: tuple[int, int]) -> dict:
    """Raw predictions of boxes and of what they should become: dx, dy, ln w, ln h."""
    raw, boxes = (random.normal(0.0, 0.4, (4, *shape)).astype(np.float32) for _ in range(2))
    valid = (random.random(shape) >= 0.1).astype(np.float32)
    return {"shape": [4, *shape], "raw": written(raw), "boxes": written(boxes), "valid": written(valid)}


def corners(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper corners, (1, 2, H, W) each."""
    centre, half = boxes[:, :2], boxes[:, 2:].exp() / 2
    return centre - half, centre + half


def areas(boxes: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """Intersection, union and enclosing box."""
    (low, high), (target_low, target_high) = corners(boxes), corners(targets)
    common = (torch.minimum(high, target_high) - torch.maximum(low, target_low)).clamp(min=0)
    hull = torch.maximum(high, target_high) - torch.minimum(low, target_low)
    i, e, own, other = (
        side.prod(1, keepdim=True) for side in (common, hull, high - low, target_high - target_low)
    )
    return {"i": i, "u": own + other - i, "e": e}


def given_to(given: dict, raw: torch.Tensor) -> dict[str, torch.Tensor]:
    """The inputs of a loss."""
    shape = raw.shape
    valid = torch.tensor(read(given["valid"], (1, 1, *shape[2:])), dtype=raw.dtype)
    if "boxes" in given:
        targets = torch.tensor(read(given["boxes"], shape), dtype=raw.dtype)
        return {name: area * valid for name, area in areas(raw, targets).items()}
    y = torch.tensor(read(given["y"], shape), dtype=raw.dtype)
    return {"yhat": raw.softmax(1) * valid, "y": y}


def weights(count: int) -> np.ndarray:
    return np.array([[np.cos(1.7 * at + number) for at in range(count)] for number in range(WEIGHTS)])


def gradient(text: str, given: dict, dtype: torch.dtype) -> tuple[float, np.ndarray]:
    shape = (1, *given["shape"])
    raw = torch.tensor(read(given["raw"], shape), dtype=dtype, requires_grad=True)
    inputs = given_to(given, raw)
    root = root_of(parse(text, tuple(inputs)), inputs, OPERATORS)
    loss = root.sum() / (shape[2] * shape[3])
    (by_raw,) = torch.autograd.grad(loss, [raw], allow_unused=True, materialize_grads=True)
    return loss.item(), by_raw.double().numpy().ravel()


def short(value: float) -> str:
    return f"{value:.10g}"


@np.errstate(all="ignore")
def case(text: str, number: int, given: dict) -> dict:
    loss, exact = gradient(text, given, torch.float64)
    loss32, single = gradient(text, given, torch.float32)
    size = norm(exact)
    return {
        "text": text,
        "problem": number,
        "loss": short(loss),
        "norm": short(size),
        "sums": " ".join(short(value) for value in weights(exact.size) @ exact),
        "finite32": bool(np.isfinite(loss32) and np.isfinite(single).all()),
        # Relative error of PyTorch's own single precision.
        "error32": short(norm(single - exact) / size) if size > 0 else "nan",
        "loss_error32": short(abs(loss32 - loss) / abs(loss)) if loss != 0 else "nan",
    }


def texts(random: np.random.Generator, count: int, inputs: tuple[str, ...], least: int) -> list[str]:
    """Different graphs that use at least so many of the inputs."""
    found: dict[str, None] = {}
    while len(found) < count:
        text = random_text(random, int(random.choice([2, 3, 3, 4])), inputs)
        if len(set(re.findall(r"\w+", text)).intersection(inputs)) >= least:
            found[text] = None
    return list(found)


def built() -> dict:
    random = np.random.default_rng(20261125)
    dense = [problem(random, shape) for shape in SHAPES]
    dense_texts = texts(random, GRAPHS, INPUTS, 2)
    boxes = [box_problem(random, shape) for shape in BOX_SHAPES]
    box_texts = texts(random, BOX_GRAPHS, AREAS, 1)
    graphs = [case(text, at % len(dense), dense[at % len(dense)]) for at, text in enumerate(dense_texts)]
    graphs += [
        case(text, len(dense) + at % len(boxes), boxes[at % len(boxes)]) for at, text in enumerate(box_texts)
    ]
    problems = dense + boxes
    return {"schema": 1, "torch": torch.__version__.split("+")[0], "problems": problems, "graphs": graphs}


def numbers(fixture: dict) -> dict:
    """The fixture as numbers, without what depends on the rounding of single precision."""
    # What is not determined to eight digits in double precision either differs between processors.
    return {
        case["text"]: [float(case["loss"]), float(case["norm"])]
        for case in fixture["graphs"]
        if float(case["error32"]) < 1e-5 and np.isfinite(float(case["loss"]))
    }


def main() -> None:
    torch.set_num_threads(1)
    fixture = built()
    if check_wanted(__doc__):
        committed = json.loads(FIXTURE.read_text())
        if [case["text"] for case in committed["graphs"]] != [case["text"] for case in fixture["graphs"]]:
            sys.exit("the committed fixture has other graphs than this script: write it again")
        theirs = numbers(committed)
        ours = {text: value for text, value in numbers(fixture).items() if text in theirs}
        if len(ours) < len(theirs) * 99 // 100:
            sys.exit(f"{len(ours)} of {len(theirs)} cases are determined here")
        difference, place = largest_difference(ours, {text: theirs[text] for text in ours}, relative=True)
        print(f"{len(ours)} graphs, largest relative difference {difference:.3g} at {place}")
        sys.exit(0 if difference <= TOLERANCE else "the committed fixture is not what this script computes")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in fixture["graphs"])
    problems = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in fixture["problems"])
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(
        f'{{"schema":1,"torch":"{fixture["torch"]}",\n"problems":[\n{problems}\n],\n"graphs":[\n{lines}\n]}}\n'
    )
    determined = sum(float(case["error32"]) < 1e-4 for case in fixture["graphs"])
    print(
        f"{len(fixture['graphs'])} graphs, {determined} of them determined by single precision, "
        f"{FIXTURE.stat().st_size} bytes in {FIXTURE}"
    )


if __name__ == "__main__":
    main()
