#!/usr/bin/env python3
"""Oracle of the fused engine: loss, and gradient with respect to the raw prediction, of random graphs.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python engine.py           # writes the fixture of the Rust test
    venv/bin/python engine.py --check   # recomputes the committed cases and compares

PyTorch's eager operators and its autograd in f64, through a softmax over the channels, of one sample each;
and once more in f32, whose own error says how much single precision determines of a graph, and whose
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
WEIGHTS = 3
TOLERANCE = 1e-6
SHAPES = [(5, 9, 13), (3, 8, 8), (11, 4, 5), (2, 1, 17), (21, 3, 3)]


def problem(random: np.random.Generator, shape: tuple[int, int, int]) -> dict:
    """Raw predictions, and one-hot targets of regions; a tenth of the positions is void."""
    channels, height, width = shape
    raw = random.normal(0.0, 1.0, shape).astype(np.float32)
    rows, columns = np.indices((height, width))
    labels = (rows * 3 // height + columns * 4 // width) % channels
    valid = (random.random((height, width)) >= 0.1).astype(np.float32)
    y = (np.arange(channels)[:, None, None] == labels) * valid
    return {"shape": list(shape), "raw": written(raw), "y": written(y), "valid": written(valid)}


def weights(count: int) -> np.ndarray:
    return np.array([[np.cos(1.7 * at + number) for at in range(count)] for number in range(WEIGHTS)])


def gradient(text: str, given: dict, dtype: torch.dtype) -> tuple[float, np.ndarray]:
    shape = (1, *given["shape"])
    raw = torch.tensor(read(given["raw"], shape), dtype=dtype, requires_grad=True)
    y = torch.tensor(read(given["y"], shape), dtype=dtype)
    valid = torch.tensor(read(given["valid"], (1, 1, *shape[2:])), dtype=dtype)
    root = root_of(parse(text), {"yhat": raw.softmax(1) * valid, "y": y}, OPERATORS)
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


def built() -> dict:
    random = np.random.default_rng(20261125)
    problems = [problem(random, shape) for shape in SHAPES]
    texts: list[str] = []
    known = set()
    while len(texts) < GRAPHS:
        text = random_text(random, int(random.choice([2, 3, 3, 4])))
        if set(re.findall(r"\w+", text)).issuperset(INPUTS) and text not in known:
            known.add(text)
            texts.append(text)
    graphs = [case(text, at % len(problems), problems[at % len(problems)]) for at, text in enumerate(texts)]
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
    print(f"{len(fixture['graphs'])} graphs, {determined} of them determined by single precision, "
          f"{FIXTURE.stat().st_size} bytes in {FIXTURE}")


if __name__ == "__main__":
    main()
