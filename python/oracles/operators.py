#!/usr/bin/env python3
"""Oracle of the fourteen operators, of the loss they make and of its gradients.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python operators.py           # writes the fixture of the Rust test
    venv/bin/python operators.py --check   # recomputes the committed cases and compares

PyTorch's eager operators and its autograd, over graphs read from the text form by a parser of its own.
The values of every operator are also compared with numpy and scipy before anything is written. Cases:
each operator at points where it could break (zeros of either sign, the ε of the formulas, overflow,
infinities, NaN, ties of the pools), and random graphs over softmax predictions and one-hot targets.

Numbers are written as texts, arrays as texts with blanks between the numbers: they are read back to
the last bit, and `nan`, `inf` and `-inf` need no extra rule. --check takes graphs and inputs from the
fixture, because which random graphs are well conditioned may depend on the processor's rounding.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

FIXTURE = Path(__file__).resolve().parents[2] / "host" / "train" / "tests" / "fixtures" / "operators.json"
EPSILON = 1e-12
TOLERANCE = 1e-9
GRAPHS = 200
NOT_FINITE = 20
SAMPLES = 8
# A graph is kept if inputs changed by this, relatively, change no result by more than TOLERANCE / 10.
NUDGE = 1e-14
# Parts of an array's magnitude below which an element or a sum is only what rounding left over.
ELEMENT_FLOOR = 1e-6
SUM_FLOOR = 1e-3


def signed(function):
    return lambda x: torch.sign(x) * function(torch.abs(x) + EPSILON)


def max_pool(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(x, kernel_size=3, stride=1, padding=1)


OPERATORS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "neg": lambda x: -x,
    "abs": torch.abs,
    "inv": lambda x: 1.0 / (x + EPSILON),
    "log": signed(torch.log),
    "exp": torch.exp,
    "tanh": torch.tanh,
    "square": lambda x: x * x,
    "sqrt": signed(torch.sqrt),
    "mean_nhw": lambda x: x.mean(dim=(0, 2, 3), keepdim=True).expand_as(x),
    "mean_c": lambda x: x.mean(dim=1, keepdim=True).expand_as(x),
    "max_pool3x3": max_pool,
    "min_pool3x3": lambda x: -max_pool(-x),
}
# A saturated tanh keeps few digits of 1 - tanh², its derivative: another form of it rounds otherwise.
REWORDED = {
    **OPERATORS,
    "tanh": lambda x: torch.where(torch.abs(x) < 1, torch.tanh(x), 2 * torch.sigmoid(2 * x) - 1),
}
BINARY = ("add", "mul")
AGGREGATIONS = ("mean_nhw", "mean_c", "max_pool3x3", "min_pool3x3")
INPUTS = ("yhat", "y")

# The same once more without torch.
WINDOW = (1, 1, 3, 3)
PLAIN = {
    "add": np.add,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "inv": lambda x: np.reciprocal(x + EPSILON),
    "log": lambda x: np.sign(x) * np.log(np.abs(x) + EPSILON),
    "exp": np.exp,
    "tanh": np.tanh,
    "square": np.square,
    "sqrt": lambda x: np.sign(x) * np.sqrt(np.abs(x) + EPSILON),
    "mean_nhw": lambda x: np.broadcast_to(x.mean(axis=(0, 2, 3), keepdims=True), x.shape),
    "mean_c": lambda x: np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape),
    "max_pool3x3": lambda x: ndimage.maximum_filter(x, size=WINDOW, mode="constant", cval=-np.inf),
    "min_pool3x3": lambda x: ndimage.minimum_filter(x, size=WINDOW, mode="constant", cval=np.inf),
}


def parse(text: str, inputs: tuple[str, ...] = INPUTS):
    """`neg(mul(y, log(yhat)))` as nested tuples; leaves are names of inputs and "1"."""
    tokens = re.findall(r"[a-z_0-9]+|\S", text)

    def take(expected: str | None = None) -> str:
        token = tokens.pop(0) if tokens else "the end"
        if expected not in (None, token):
            raise ValueError(f"{token!r} in place of {expected!r} in {text!r}")
        return token

    def expression():
        name = take()
        if name == "1" or name in inputs:
            return name
        if name not in OPERATORS:
            raise ValueError(f"{name!r} in {text!r} is neither operator nor input")
        take("(")
        operands = [expression()]
        if name in BINARY:
            take(",")
            operands.append(expression())
        take(")")
        return (name, *operands)

    tree = expression()
    if tokens:
        raise ValueError(f"{tokens[0]!r} after the end of {text!r}")
    return tree


def root_of(tree, inputs: dict[str, torch.Tensor], operators: dict) -> torch.Tensor:
    if tree == "1":
        return torch.ones_like(next(iter(inputs.values())))
    if isinstance(tree, str):
        return inputs[tree]
    return operators[tree[0]](*(root_of(operand, inputs, operators) for operand in tree[1:]))


def plain_root_of(tree, inputs: dict[str, np.ndarray]) -> np.ndarray:
    if tree == "1":
        return np.ones_like(inputs["yhat"])
    if isinstance(tree, str):
        return inputs[tree]
    return PLAIN[tree[0]](*(plain_root_of(operand, inputs) for operand in tree[1:]))


def evaluate(text: str, inputs: dict[str, np.ndarray], dtype=torch.float64, operators=OPERATORS) -> dict:
    """The root's tensor, L = (1/(N·H·W)) · Σ of it, and ∂L/∂ of each input, as f64 arrays."""
    tensors = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in inputs.items()}
    root = root_of(parse(text), tensors, operators)
    batch, _, height, width = root.shape
    loss = root.sum() / (batch * height * width)
    gradients = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True, materialize_grads=True)
    return {
        "loss": loss.item(),
        "root": root.detach().double().numpy(),
        "gradients": dict(zip(tensors, (gradient.double().numpy() for gradient in gradients))),
    }


def norm(values: np.ndarray) -> float:
    """L2, scaled so that squares of large values do not overflow."""
    largest = np.abs(values).max()
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    return float(largest * np.sqrt(np.square(values / largest).sum()))


def samples(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    return flat[[at * flat.size // SAMPLES for at in range(SAMPLES)]]


def written(values) -> str:
    return " ".join(repr(float(value)).removesuffix(".0") for value in np.ravel(values))


def read(text: str, shape=(-1,)) -> np.ndarray:
    return np.array([float(number) for number in text.split()]).reshape(shape)


@np.errstate(all="ignore")
def digest(text: str, inputs: dict[str, np.ndarray], operators=OPERATORS) -> dict:
    """What a case of a random graph stores: `magnitude` is L of the root's absolute values."""
    double = evaluate(text, inputs, operators=operators)
    single = evaluate(text, inputs, torch.float32)
    batch, _, height, width = double["root"].shape
    return {
        "loss": written(double["loss"]),
        "magnitude": written(np.abs(double["root"]).sum() / (batch * height * width)),
        "loss32": written(single["loss"]),
        "gradients": {
            name: {
                "sum": written(values.sum()),
                "norm": written(norm(values)),
                "samples": written(samples(values)),
            }
            for name, values in double["gradients"].items()
        },
    }


def full(text: str, inputs: dict[str, np.ndarray]) -> dict:
    """What a case of one operator stores."""
    double, single = evaluate(text, inputs), evaluate(text, inputs, torch.float32)
    return {
        "root": written(double["root"]),
        "root32": written(single["root"]),
        "gradients": {name: written(values) for name, values in double["gradients"].items()},
    }


@np.errstate(all="ignore")
def difference(left: str, right: str, scale: float = 0.0) -> float:
    """The largest difference relative to the value or to `scale`; infinite if one alone is not finite."""
    a, b = read(left), read(right)
    usual = np.isfinite(a) & np.isfinite(b)
    if a.shape != b.shape or not np.array_equal(a[~usual], b[~usual], equal_nan=True):
        return float("inf")
    a, b = a[usual], b[usual]
    floor = max(scale if np.isfinite(scale) else 0.0, np.finfo(float).tiny)
    # Divided before the subtraction, which could overflow.
    size = np.maximum(np.abs(b), floor)
    return float(np.abs(a / size - b / size).max(initial=0.0))


def digest_difference(ours: dict, theirs: dict) -> float:
    found = [difference(ours["loss"], theirs["loss"], SUM_FLOOR * float(theirs["magnitude"]))]
    for name in INPUTS:
        a, b = ours["gradients"][name], theirs["gradients"][name]
        size = float(b["norm"])
        found += [
            difference(a["sum"], b["sum"], SUM_FLOOR * size),
            difference(a["norm"], b["norm"]),
            difference(a["samples"], b["samples"], ELEMENT_FLOOR * size),
        ]
    return max(found)


def full_difference(ours: dict, theirs: dict) -> float:
    """An operator's values are compared one by one; only means have sums, whose terms do not cancel here."""
    pairs = [(ours["root"], theirs["root"])]
    pairs += [(ours["gradients"][name], theirs["gradients"][name]) for name in INPUTS]
    return max(difference(*pair) for pair in pairs)


def mirrored(values: list[float]) -> list[float]:
    return [sign * value for value in values for sign in (1.0, -1.0)]


def operator_cases() -> list[tuple[str, dict[str, np.ndarray]]]:
    inf, nan = float("inf"), float("nan")
    alone = np.array(
        mirrored([0.0, 1e-300, 1e-30, 1e-12, 1e-6, 0.5, 1.0, 20.0, 1e3, 1e10, 1e30, 1e160, 709.0, 710.0, inf])
        + [2.0, nan]
    ).reshape(1, 1, 4, 8)
    few = np.array(mirrored([0.0, 1e-30, 1e-6, 1.0, 1e3, 1e160, inf]) + [2.0, nan])
    left, right = np.meshgrid(few, few, indexing="ij")
    unary = {"yhat": alone, "y": np.zeros_like(alone)}
    binary = {"yhat": left.reshape(1, 1, 16, 16), "y": right.reshape(1, 1, 16, 16)}
    cases = [(f"{name}(yhat, y)", binary) for name in BINARY]
    cases += [(f"{name}(yhat)", unary) for name in OPERATORS if name not in (*BINARY, *AGGREGATIONS)]
    for field in aggregated_fields():
        weights = np.random.default_rng(field.size).uniform(0.5, 1.5, field.shape).round(6)
        cases += [(f"mul({name}(yhat), y)", {"yhat": field, "y": weights}) for name in AGGREGATIONS]
    return cases


def aggregated_fields() -> list[np.ndarray]:
    """Random and tied maps, maps smaller than the window, huge, tiny and non-finite elements."""
    random = np.random.default_rng(20210326)
    ordinary = random.uniform(0.1, 1.0, (2, 3, 5, 4)).round(6)
    tied = random.integers(0, 3, (2, 2, 5, 6)).astype(float)
    spoiled = ordinary.copy()
    spoiled[0, 0, 2, 2], spoiled[0, 1, 0, 0], spoiled[1, 2, 3, 1] = np.nan, np.inf, -np.inf
    pair_of_nan = ordinary.copy()
    pair_of_nan[1, 0, 1, 1] = pair_of_nan[1, 0, 2, 2] = np.nan
    return [
        ordinary,
        -ordinary,
        tied,
        np.where(tied > 0, 0.0, -0.0),
        np.full((1, 2, 3, 3), 0.7),
        10.0 ** random.integers(-30, 31, (2, 2, 4, 4)),
        ordinary * 1e-30,
        np.full((1, 2, 3, 3), -np.inf),
        np.full((1, 2, 3, 3), 1e308),
        spoiled,
        pair_of_nan,
        *(
            random.uniform(0.1, 1.0, shape).round(6)
            for shape in [(1, 3, 1, 1), (3, 1, 1, 7), (2, 2, 6, 1), (1, 1, 2, 2)]
        ),
    ]


def dense_inputs(random: np.random.Generator, shape: tuple[int, int, int, int]) -> dict[str, np.ndarray]:
    """Softmax predictions, and one-hot targets that are zero in all channels where a pixel is void."""
    batch, channels, height, width = shape
    logits = torch.tensor(random.normal(0.0, random.choice([0.5, 2.0, 8.0]), shape))
    labels = torch.tensor(random.integers(0, channels, (batch, height, width)))
    one_hot = functional.one_hot(labels, channels).permute(0, 3, 1, 2).double()
    counted = torch.tensor(random.random((batch, 1, height, width)) >= 0.15)
    return {"yhat": torch.softmax(logits, dim=1).numpy(), "y": (one_hot * counted).numpy()}


def random_text(random: np.random.Generator, depth: int, inputs: tuple[str, ...] = INPUTS) -> str:
    if depth == 0:
        return str(random.choice([*inputs, *inputs, "1"]))
    name = str(random.choice(list(OPERATORS)))
    operands = [random_text(random, depth - 1, inputs)]
    if name in BINARY:
        operands.append(random_text(random, int(random.integers(0, depth)), inputs))
        random.shuffle(operands)
    return f"{name}({', '.join(operands)})"


def well_conditioned(random: np.random.Generator, text: str, inputs: dict[str, np.ndarray]) -> bool:
    """Whether rounding cannot matter. Targets stay: their ties are the same on every machine."""
    case = digest(text, inputs)
    for _ in range(4):
        nudge = 1.0 + NUDGE * random.choice([-1.0, 1.0], inputs["yhat"].shape)
        nudged = {**inputs, "yhat": inputs["yhat"] * nudge}
        if digest_difference(digest(text, nudged, REWORDED), case) > TOLERANCE / 10:
            return False
    return True


def graph_cases() -> list[tuple[str, dict[str, np.ndarray]]]:
    random = np.random.default_rng(210314026)
    shapes = [
        (2, 4, 5, 6),
        (1, 2, 3, 3),
        (3, 3, 4, 2),
        (2, 21, 3, 4),
        (1, 5, 1, 7),
        (4, 2, 2, 2),
        (1, 3, 8, 8),
        (2, 1, 4, 4),
    ]
    inputs = [dense_inputs(random, shape) for shape in shapes]
    texts: dict[str, dict] = {"neg(mul(y, log(yhat)))": inputs[0]}
    while len(texts) < GRAPHS:
        text = random_text(random, int(random.choice([1, 2, 3, 3, 4, 4, 4])))
        given = inputs[len(texts) % len(inputs)]
        used = set(re.findall(r"\w+", text))
        wanted = used.issuperset(INPUTS) or ("yhat" in used and random.random() < 0.1)
        if not wanted or text in texts:
            continue
        # The last ones are those that end a training: nan or inf in the loss or in a gradient.
        if len(texts) >= GRAPHS - NOT_FINITE and not re.search("nan|inf", json.dumps(digest(text, given))):
            continue
        if well_conditioned(random, text, given):
            texts[text] = given
    return list(texts.items())


@np.errstate(all="ignore")
def compare_with_numpy(text: str, inputs: dict[str, np.ndarray]) -> None:
    # scipy's filters order NaN as comparisons fall, and say nothing about it.
    if "pool" in text and np.isnan(inputs["yhat"]).any():
        return
    ours = plain_root_of(parse(text), inputs)
    found = difference(written(ours), written(evaluate(text, inputs)["root"]))
    if not found <= TOLERANCE:
        raise SystemExit(f"numpy and PyTorch differ by {found:.3g} on {text}")


def built() -> dict:
    inputs, operators, graphs = [], [], []

    def place(given: dict[str, np.ndarray]) -> int:
        entry = {"shape": list(given["yhat"].shape), **{name: written(given[name]) for name in INPUTS}}
        if entry not in inputs:
            inputs.append(entry)
        return inputs.index(entry)

    for text, given in operator_cases():
        compare_with_numpy(text, given)
        operators.append({"text": text, "inputs": place(given), **full(text, given)})
    for text, given in graph_cases():
        graphs.append({"text": text, "inputs": place(given), **digest(text, given)})
    return {"inputs": inputs, "operators": operators, "graphs": graphs}


def check(committed: dict) -> None:
    """Every committed case once more; the operators' cases must also be those of this script."""
    inputs = [{name: read(entry[name], entry["shape"]) for name in INPUTS} for entry in committed["inputs"]]
    expected = [(text, *(written(given[name]) for name in INPUTS)) for text, given in operator_cases()]
    stored = [
        (case["text"], *(committed["inputs"][case["inputs"]][name] for name in INPUTS))
        for case in committed["operators"]
    ]
    if stored != expected or len(committed["graphs"]) != GRAPHS:
        sys.exit("the committed fixture has other cases than this script: write it again")
    largest, place = 0.0, "any case"
    for kind, compute, compare in (
        ("operators", full, full_difference),
        ("graphs", digest, digest_difference),
    ):
        for case in committed[kind]:
            given = inputs[case["inputs"]]
            if kind == "operators":
                compare_with_numpy(case["text"], given)
            found = compare(compute(case["text"], given), case)
            if found > largest:
                largest, place = found, case["text"]
    count = len(committed["operators"]) + GRAPHS
    print(f"{count} cases, largest relative difference {largest:.3g} at {place}")
    sys.exit(0 if largest <= TOLERANCE else "the committed fixture is not what this script computes")


def write(fixture: dict) -> None:
    def lines(cases: list[dict]) -> str:
        return ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)

    sections = ",\n".join(f'"{name}":[\n{lines(cases)}\n]' for name, cases in fixture.items())
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    version = torch.__version__.split("+")[0]
    FIXTURE.write_text(f'{{"schema":1,"torch":"{version}",\n{sections}}}\n')
    count = len(fixture["operators"]) + len(fixture["graphs"])
    print(f"{count} cases, {FIXTURE.stat().st_size} bytes in {FIXTURE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed fixture, write nothing"
    )
    torch.set_num_threads(1)
    if parser.parse_args().check:
        check(json.loads(FIXTURE.read_text()))
    else:
        write(built())


if __name__ == "__main__":
    main()
