"""Exported losses against the host's reference interpreter.

`host/export/tests/pytorch.rs` writes a folder of cases: inputs, what value and gradient should be, the
exported modules and loss files, simplified and not. Of each case are compared, in float64:

- the exported module, simplified and as found, with the host's value and gradient;
- `autoloss.load` of both files with the exported modules;
- 'sum' and 'none' with 'mean'; autocast to bfloat16 with float32 of the same inputs.

Of some softmaxes: one channel with labels 0 and 1 against two channels. Targets out of range: errors on the
CPU, NaN where nothing is checked and in graphs.

Of some cases: TorchScript; of fewer: ONNX by onnxruntime, tracing, and `torch.compile`, several in one
compilation. With AUTOLOSS_SLOW_TESTS=1 `torch.compile` has all
of ordinary size.

A difference passes that is at most 1e-9 of the largest expected value, or what rounding leaves of terms
that cancel; how often the latter was needed is counted.

    export_equality.py FOLDER
"""

import json
import logging
import os
import re
import sys
import time
import types
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import autoloss  # noqa: E402

TOLERANCE = 1e-9
#: Of the largest terms of a sum, which may cancel.
ROUNDING = 1e-12
KINDS = ("dense", "list", "boxes", "sigmoid", "identity")
#: Those of classes and maps.
LOGITS = tuple(kind for kind in KINDS if kind != "boxes")
SLOW = os.environ.get("AUTOLOSS_SLOW_TESTS") == "1"


class Cases:
    """The folder that the host has written."""

    def __init__(self, folder):
        self.folder = Path(folder)
        content = json.loads((self.folder / "cases.json").read_text(encoding="utf-8"))
        self.cases = content["cases"]
        self.inputs = {kind: self._inputs(kind, entry) for kind, entry in content["inputs"].items()}

    def _inputs(self, kind, entry):
        shape = entry["shape"]
        # Trailing axes of one position are left out, as users have them.
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        scores = self.tensor(f"{kind}_scores", shape)
        if entry["labels"] is None:
            return scores, self.tensor(f"{kind}_target", shape)
        return scores, torch.tensor(entry["labels"]).reshape(shape[:1] + shape[2:])

    def tensor(self, name, shape):
        return torch.from_numpy(np.fromfile(self.folder / f"{name}.f64")).reshape(shape)

    def module(self, name):
        """An exported file as a module of Python."""
        text = (self.folder / f"{name}.py").read_text(encoding="utf-8")
        module = types.ModuleType(name)
        # TorchScript looks for the source.
        module.__file__ = str(self.folder / f"{name}.py")
        sys.modules[name] = module
        exec(compile(text, module.__file__, "exec"), module.__dict__)
        return module

    def load(self, name, **options):
        return autoloss.load(self.folder / f"{name}.json", **options)


def run(loss, scores, target):
    """The value and the gradient with respect to the scores."""
    scores = scores.detach().clone().requires_grad_(True)
    value = loss(scores, target)
    if not value.requires_grad:
        return value.detach(), torch.zeros_like(scores)
    (gradient,) = torch.autograd.grad(value, scores, allow_unused=True)
    return value.detach(), torch.zeros_like(scores) if gradient is None else gradient


def same(a, b):
    """Whether two tensors are equal to the last bit, or both not finite."""
    return torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


class Differences:
    """The largest relative differences, by what was compared."""

    def __init__(self):
        self.largest = {}
        self.counts = {}
        self.cancelled = {}

    def check(self, what, name, found, expected, scale):
        """Compares tensors that are sums of terms of up to `scale`."""
        found, expected = torch.as_tensor(found), torch.as_tensor(expected)
        finite = torch.isfinite(expected)
        if not torch.equal(torch.isfinite(found), finite):
            raise AssertionError(f"{what} of {name}: {found} is not as finite as {expected}")
        self.counts[what] = self.counts.get(what, 0) + 1
        if not finite.any():
            return
        found, expected = found[finite].double(), expected[finite].double()
        difference = (found - expected).abs().max().item()
        size = max(expected.abs().max().item(), 1e-300)
        if difference <= TOLERANCE * size:
            self.largest[what] = max(self.largest.get(what, 0.0), difference / size)
        elif difference <= ROUNDING * scale:
            self.cancelled[what] = self.cancelled.get(what, 0) + 1
        else:
            raise AssertionError(f"{what} of {name} differs by {difference:.1e} of {size:.1e}")

    def print(self):
        print("largest relative differences:")
        for what, count in self.counts.items():
            cancelled = self.cancelled.get(what, 0)
            note = f"; rounding of what cancels in {cancelled}" if cancelled else ""
            print(f"  {what}: {self.largest.get(what, 0.0):.1e} in {count} comparisons{note}")


def check_eager(cases, differences):
    for case in cases.cases:
        name = case["name"]
        scores, target = cases.inputs[case["kind"]]
        gradient = cases.tensor(name, scores.shape)
        value = float("nan") if case["value"] is None else case["value"]
        value = torch.tensor(value, dtype=torch.float64)
        for form in ("simple", "raw"):
            label = f"{name} ({form}) {case['text']}"
            loss = cases.module(f"{name}_{form}").SegLoss()
            found = run(loss, scores, target)
            differences.check("value", label, found[0], value, case["value_scale"])
            if torch.isfinite(value):
                differences.check("gradient", label, found[1], gradient, case["gradient_scale"])
            loaded = run(cases.load(f"{name}_{form}"), scores, target)
            differences.check("load", label, loaded[0], found[0], case["value_scale"])
            if torch.isfinite(value):
                differences.check("load", label, loaded[1], found[1], case["gradient_scale"])
        check_reductions(cases.module(f"{name}_simple").SegLoss, scores, target, case, differences)
        check_autocast(cases.module(f"{name}_simple").SegLoss(), scores, target, name)


def check_reductions(make, scores, target, case, differences):
    mean, total, each = (make(reduction=reduction)(scores, target) for reduction in ("mean", "sum", "none"))
    if each.shape != scores.shape[:1] + scores.shape[2:]:
        raise AssertionError(f"'none' of {case['name']} has shape {tuple(each.shape)}")
    scale = case["value_scale"] * each.numel()
    differences.check("sum", case["name"], total / each.numel(), mean, scale)
    differences.check("none", case["name"], each.mean(), mean, scale)


def check_autocast(loss, scores, target, name):
    half = scores.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = run(loss, half, target)
    expected, other = run(loss, half.float(), target)
    if value.dtype != torch.float32 or not same(value, expected):
        raise AssertionError(f"{name} under autocast is {value}, not {expected}")
    if not torch.equal(torch.isfinite(gradient.float()), torch.isfinite(other.bfloat16().float())):
        raise AssertionError(f"the gradient of {name} under autocast is not as finite")


def check_script(cases, differences, chosen):
    for case in chosen:
        scores, target = cases.inputs[case["kind"]]
        loss = cases.module(f"{case['name']}_simple").SegLoss()
        value, gradient = run(loss, scores, target)
        variants = {"script": torch.jit.script(loss)}
        if case in chosen[::8]:
            variants["trace"] = torch.jit.trace(loss, (scores, target))
            loaded = cases.load(f"{case['name']}_simple")
            variants["trace of load"] = torch.jit.trace(loaded, (scores, target))
        for what, variant in variants.items():
            found = run(variant, scores, target)
            differences.check(what, case["name"], found[0], value, case["value_scale"])
            if torch.isfinite(value):
                differences.check(what, case["name"], found[1], gradient, case["gradient_scale"])


def check_onnx_targets(cases):
    """Models of one channel, and of targets in the logits' shape: values, and NaN out of range."""
    import onnxruntime

    scores, target = cases.inputs["dense"]
    one, labels = scores[:, :1].contiguous(), target.clamp(max=1)
    soft = scores.softmax(1)
    for at, (given, right, wrong) in enumerate(((one, labels, target - 1), (scores, soft, soft * 9))):
        loss = cases.module("dense_0_raw").SegLoss()
        path = cases.folder / f"targets_{at}.onnx"
        torch.onnx.export(loss, (given, right), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = [{"logits": given.numpy(), "target": each.numpy()} for each in (right, wrong)]
        found, lost = (torch.from_numpy(session.run(None, feed)[0]) for feed in feeds)
        assert torch.allclose(found, loss(given, right), rtol=1e-9)
        assert lost.isnan()


def check_onnx(cases, differences, chosen):
    import onnxruntime

    for case in chosen:
        scores, target = cases.inputs[case["kind"]]
        for what in ("exported", "loaded"):
            name = f"{case['name']}_simple"
            loss = cases.module(name).SegLoss() if what == "exported" else cases.load(name)
            path = cases.folder / f"{name}_{what}.onnx"
            torch.onnx.export(loss, (scores, target), path, dynamo=True, verbose=False)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            names = [entry.name for entry in session.get_inputs()]
            # What the formula does not use is no input of the model.
            values = dict(zip(("logits", "target", "deltas", "target_deltas"), [None] * 4))
            values.update({"logits": scores, "target": target})
            values.update({"deltas": scores, "target_deltas": target})
            (found,) = session.run(None, {key: values[key].numpy() for key in names})
            expected = loss(scores, target)
            differences.check("onnx", name, torch.from_numpy(found), expected, case["value_scale"])


def check_compile(cases, differences, chosen):
    """Losses of one kind a few in a compilation, the last as the package loads it."""
    for group in chosen:
        scores, target = cases.inputs[group[0]["kind"]]
        losses = [cases.module(f"{case['name']}_simple").SegLoss() for case in group]
        losses.append(cases.load(f"{group[0]['name']}_simple"))
        together = Together(losses)
        torch._dynamo.reset()
        compiled = torch.compile(together, fullgraph=True)
        name = ", ".join(case["name"] for case in group)
        expected, found = run_all(together, scores, target), run_all(compiled, scores, target)
        for at, of in ((0, "value_scale"), (1, "gradient_scale")):
            scale = max(case[of] for case in group)
            differences.check("compile", name, found[at], expected[at], scale)


def groups(cases, size=10):
    """What is compiled together: two groups, or all of them."""
    for kind in KINDS if SLOW else ("dense", "boxes"):
        of_kind = usable(cases, (kind,), 1)
        step = size if SLOW else len(of_kind)
        for first in range(0, len(of_kind), step):
            yield of_kind[first : first + step][:: 1 if SLOW else max(step // size, 1)]


class Together(torch.nn.Module):
    """Several losses of the same inputs."""

    def __init__(self, losses):
        super().__init__()
        self.losses = torch.nn.ModuleList(losses)

    def forward(self, scores, target):
        return torch.stack([loss(scores, target) for loss in self.losses])


def run_all(losses, scores, target):
    """The values and the gradient of their sum, 0 where none has one."""
    scores = scores.detach().clone().requires_grad_(True)
    values = losses(scores, target)
    if not values.requires_grad:
        return values, torch.zeros_like(scores)
    (gradient,) = torch.autograd.grad(values.sum(), scores)
    return values.detach(), gradient


def check_hostile(cases):
    """Names and provenance that try to be code are text, and all branches are there."""
    module = cases.module("hostile")
    scores, target = cases.inputs["dense"]
    predictions = {name: scores for name in ("class", "train", "forward", "DOCS", "__init__")}
    targets = {name: target for name in predictions}
    (container,) = (
        entry
        for entry in vars(module).values()
        if isinstance(entry, type) and "All branches" in (entry.__doc__ or "")
    )
    exported = container()(predictions, targets)
    loaded = cases.load("hostile")(predictions, targets)
    assert exported.keys() == loaded.keys() == predictions.keys()
    assert all(same(exported[name], loaded[name]) for name in predictions)
    scripted = torch.jit.script(container())(predictions, targets)
    assert all(same(exported[name], scripted[name]) for name in predictions)
    assert same(cases.load("hostile", branch="train")(scores, target), exported["train"])
    wrong = {name: torch.full_like(target, 254) for name in predictions}
    refused(container(), (predictions, wrong), IndexError, ("254",))
    refused(cases.load("hostile"), (predictions, wrong), IndexError, ("254",))
    for loss in (container(check_target=False), cases.load("hostile", check_target=False)):
        assert all(value.isnan() for value in loss(predictions, wrong).values())


def check_shapes(cases):
    """Fewer axes, other types of labels, nothing at all, and what does not fit."""
    loss = cases.module("dense_0_raw").SegLoss()
    scores, target = cases.inputs["dense"]
    flat = loss(scores.flatten(2), target.flatten(1))
    assert torch.allclose(flat, loss(scores, target), rtol=1e-12)
    assert same(loss(scores, target.to(torch.uint8)), loss(scores, target))
    empty = loss(scores[:0].requires_grad_(True), target[:0])
    assert empty.item() == 0.0 and empty.requires_grad
    wrong = [(scores, target[:, :-1]), (scores, target.float()), (scores[0, 0, 0], target)]
    for wrong_scores, wrong_target in wrong:
        for tried in (loss, cases.load("dense_0_raw")):
            try:
                tried(wrong_scores, wrong_target)
            except ValueError:
                continue
            raise AssertionError(f"{wrong_scores.shape}, {wrong_target.shape} were taken")


def check_targets(cases):
    """Targets out of range are errors, and NaN where they are not checked."""
    scores, target = cases.inputs["dense"]
    classes = scores.size(1)
    wrong = target.clone()
    wrong[0, 0, :2], wrong[1, 2, 3], wrong[1, 3, 3] = -1, classes, classes + 7
    soft = scores.softmax(1)
    beyond = soft.clone()
    beyond[1, 0, 0, 0] = 255.0
    module = cases.module("dense_0_raw")
    said = (f"from -1 to {classes + 7}", f"{classes} classes", "ignore_index is 255")
    said_of_values = ("255", "from 0 to 1", "ignore_index")
    for loss in (module.SegLoss(), cases.load("dense_0_raw"), torch.jit.script(module.SegLoss())):
        refused(loss, (scores, wrong), IndexError, said)
        refused(loss, (scores, wrong.clamp(max=classes)), IndexError, (f"-1 to {classes}",))
        refused(loss, (scores, beyond), ValueError, said_of_values)
        refused(loss, (scores, beyond.long()), ValueError, said_of_values)
        assert torch.isfinite(loss(scores, soft))
        assert same(loss(scores, soft.round()), loss(scores, soft.round().bool()))
    # What is void by another name, a class among them.
    other = module.SegLoss(ignore_index=-1)
    refused(other, (scores, target), IndexError, ("255 to 255", "ignore_index is -1"))
    void = target.masked_fill(target == 255, 0)
    loss = module.SegLoss(ignore_index=0, reduction="none")
    assert torch.equal(loss(scores, void) == 0.0, void == 0)
    for build in (module.SegLoss, lambda **options: cases.load("dense_0_raw", **options)):
        assert build().check_target is None
        each = build(check_target=False, reduction="none")
        assert torch.equal(each(scores, wrong).isnan(), wrong != target)
        assert torch.equal(each(scores, beyond).isnan(), (beyond > 1).any(1))
        assert run(build(check_target=False), scores, wrong)[1].isnan().any()
        for given, bad in ((target, wrong), (soft, beyond)):
            for check in (None, True):
                check_graphs(build(check_target=check), scores, given, bad)
        # Off the CPU nothing waits: a meta tensor has no values to read.
        assert build()(scores.to("meta"), target.to("meta")).is_meta
        # A batch is one sample at a time.
        one = build(check_target=False)
        values = torch.vmap(one)(scores[:, None], target[:, None])
        assert torch.allclose(values.mean(), one(scores, target), rtol=1e-12)


def refused(loss, arguments, error, words):
    """Checks that a loss raises an error with these words, also in TorchScript."""
    try:
        loss(*arguments)
    except error as found:
        message = str(found)
        assert len(message) <= 300, message
    except torch.jit.Error as found:
        message = str(found)
        assert f"builtins.{error.__name__}" in message, message
    else:
        raise AssertionError(f"no {error.__name__} with {words}")
    assert all(word in message for word in words), f"{message}: {words}"


def check_graphs(loss, scores, target, wrong):
    """Graphs made with a right target give the value, and NaN with a wrong one."""
    expected = loss(scores, target)
    torch._dynamo.reset()
    for variant in (
        torch.compile(loss, fullgraph=True, backend="eager"),
        torch.export.export(loss, (scores, target)).module(),
        torch.jit.trace(loss, (scores, target)),
    ):
        assert torch.allclose(variant(scores, target), expected, rtol=1e-12)
        assert variant(scores, wrong).isnan()


def check_one_channel(cases, differences, chosen):
    """One channel of a softmax is two, the other of which is 0; elsewhere labels are the target."""
    for at, case in enumerate(chosen):
        scores, target = cases.inputs[case["kind"]]
        scores = scores[:, :1].contiguous()
        two = torch.cat([torch.zeros_like(scores), scores], dim=1)
        name = f"{case['name']}_simple"
        module = cases.module(name)
        generator = torch.Generator().manual_seed(at)
        labels = torch.randint(2, scores[:, 0].shape, generator=generator)
        void = torch.rand(labels.shape, generator=generator) < 0.2
        for loss in (module.SegLoss(ignore_index=7), cases.load(name, ignore_index=7)):
            if case["kind"] in ("dense", "list"):
                with_void = labels.masked_fill(void, 7)
                pairs = [(with_void, with_void), (with_void.unsqueeze(1), with_void)]
                pairs.append((labels.double().unsqueeze(1), labels))
                found = [run(loss, scores, given) for given, _ in pairs]
                expected = [run(loss, two, given) for _, given in pairs]
                expected = [(value, gradient[:, 1:]) for value, gradient in expected]
            else:
                found = [run(loss, scores, labels)]
                expected = [run(loss, scores, labels.double().unsqueeze(1))]
            for (value, gradient), (other, slope) in zip(found, expected):
                differences.check("one channel", name, value, other, case["value_scale"])
                if torch.isfinite(other):
                    differences.check("one channel", name, gradient, slope, case["gradient_scale"])
            refused(loss, (scores, labels + 1), IndexError, ("2 to 2", "2 classes, 0 to 1"))
        # A constant stays what it is.
        if at % 16 == 0 and re.search(r"\b(yhat|y|p|lambda)\b", case["text"]):
            loss = module.SegLoss()
            assert same(torch.jit.script(loss)(scores, labels), loss(scores, labels))
            check_autocast(loss, scores, labels, name)
            check_graphs(loss, scores, labels, labels + 1)


def check_files(cases):
    """Loss files without conventions, overrides, and what is no loss file."""
    scores, target = cases.inputs["dense"]
    plain = {"schema": 1, "task": "t", "branches": {"seg": "neg(mul(y, log(yhat)))"}}
    known = cases.load("dense_0_raw")(scores, target)
    assert same(autoloss.load(plain, ignore_index=255)(scores, target), known)
    # Nothing says that 255 is void.
    refused(autoloss.load(plain), (scores, target), IndexError, ("255 to 255", "is -100"))
    other = autoloss.load(plain, activation="sigmoid", ignore_index=255)(scores, target)
    assert not same(other, known)
    inputs = [{"name": "p", "prediction": True}, {"name": "y", "values": "binary"}]
    convention = {"activation": "sigmoid", "inputs": inputs, "void_label": 255}
    maps = {**plain, "branches": {"seg": "square(add(p, neg(y)))"}}
    maps["conventions"] = {"seg": convention}
    loss, one = autoloss.load(maps), scores[:, :1]
    refused(loss, (scores, 2.0 * torch.ones_like(scores)), ValueError, ("2.0 to 2.0",))
    # A mask of one channel holds labels, and so may be void.
    mask = target.masked_fill(target != 255, 1)
    assert same(loss(one, mask.unsqueeze(1)), loss(one, mask))
    value = (one[:, 0].sigmoid() - 1.0).square().masked_fill(mask == 255, 0.0).mean()
    assert torch.allclose(loss(one, mask), value, rtol=1e-12)
    inputs[1]["values"] = "any"
    assert torch.isfinite(autoloss.load(maps)(scores, 2.0 * torch.ones_like(scores)))
    areas = {"schema": 1, "task": "t", "branches": {"reg": "add(1, neg(mul(i, inv(u))))"}}
    boxes, targets = cases.inputs["boxes"]
    assert same(autoloss.load(areas)(boxes, targets), cases.load("boxes_0_raw")(boxes, targets))
    mixed = {**plain, "branches": {**plain["branches"], "reg": "@l1"}}
    assert same(autoloss.load(mixed, ignore_index=255)(scores, target), known)
    for bad, message in [
        ([], "no object"),
        ({}, "schema"),
        ({**plain, "schema": 2}, "schema 2"),
        ({**plain, "branches": {}}, "branches"),
        ({**plain, "branches": {"seg": "neg(y"}}, "branch 'seg', line 1, column 6"),
        ({**plain, "branches": {"seg": "neg(" * 9999}}, "expected an operator"),
        ({**plain, "branches": {"seg": "@lovasz"}}, "plugin"),
        ({**plain, "scales": {"seg": 0}}, "'scales' is no object of numbers above 0"),
        ({**plain, "conventions": {"seg": {"activation": "relu"}}}, "'relu'"),
    ]:
        path = cases.folder / "bad.json"
        path.write_text(json.dumps(bad), encoding="utf-8")
        try:
            autoloss.load(path)
        except autoloss.LossFileError as error:
            assert message in str(error), error
            continue
        raise AssertionError(f"{bad} was read")


def usable(cases, kinds, step):
    """Every so many cases with a finite value and an ordinary one."""
    fine = [
        case
        for case in cases.cases
        if case["kind"] in kinds
        and case["value"] is not None
        and case["value_scale"] < 1e15
        and case["gradient_scale"] < 1e15
    ]
    return fine[::step]


def main(folder):
    # Tensors are small, and other tests run beside.
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    cases, differences = Cases(folder), Differences()
    steps = [
        ("eager, load, reductions, autocast", lambda: check_eager(cases, differences)),
        ("hostile names", lambda: check_hostile(cases)),
        ("shapes", lambda: check_shapes(cases)),
        ("targets", lambda: check_targets(cases)),
        ("one channel", lambda: check_one_channel(cases, differences, usable(cases, LOGITS, 5))),
        ("files", lambda: check_files(cases)),
        ("script", lambda: check_script(cases, differences, usable(cases, KINDS, 4))),
        ("onnx of targets", lambda: check_onnx_targets(cases)),
        ("onnx", lambda: check_onnx(cases, differences, usable(cases, KINDS, 37))),
        ("compile", lambda: check_compile(cases, differences, groups(cases))),
    ]
    for what, step in steps:
        started = time.monotonic()
        step()
        print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)
    print(f"{len(cases.cases)} losses;", end=" ")
    differences.print()


if __name__ == "__main__":
    main(sys.argv[1])
