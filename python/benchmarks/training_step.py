"""Seconds of a training step in PyTorch: forward, loss, backward, update, reading of the loss.

The Python side of `cargo xtask bench step`: the same network, loss formulas, optimiser and sizes as
host/train/benches/training_step.rs, on one batch that stays in memory. Prints one JSON object: for each
loss, one value a round.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from load_checkpoint import NETWORKS  # noqa: E402

EPSILON = 1e-12
WINDOW = dict(kernel_size=3, stride=1, padding=1)

OPERATORS = {
    "add": torch.add,
    "mul": torch.mul,
    "neg": torch.neg,
    "abs": torch.abs,
    "inv": lambda x: 1 / (x + EPSILON),
    "log": lambda x: torch.sign(x) * torch.log(torch.abs(x) + EPSILON),
    "exp": torch.exp,
    "tanh": torch.tanh,
    "square": torch.square,
    "sqrt": lambda x: torch.sign(x) * torch.sqrt(torch.abs(x) + EPSILON),
    "mean_nhw": lambda x: x.mean((0, 2, 3), keepdim=True).expand_as(x),
    "mean_c": lambda x: x.mean(1, keepdim=True).expand_as(x),
    "max_pool3x3": lambda x: F.max_pool2d(x, **WINDOW),
    "min_pool3x3": lambda x: -F.max_pool2d(-x, **WINDOW),
}


def compiled(text: str):
    """A function of ŷ and y from the text form of a loss graph."""
    tokens = iter(re.findall(r"[a-z_0-9]+|[(),]", text))

    def expression(token):
        if token not in OPERATORS:
            if token == "1":
                return lambda yhat, y: torch.ones_like(y)
            if token not in ("yhat", "y"):
                raise ValueError(f"'{token}' in {text!r} is no operator and no input")
            return (lambda yhat, y: yhat) if token == "yhat" else (lambda yhat, y: y)
        operator, operands = OPERATORS[token], []
        assert next(tokens) == "("
        while True:
            operands.append(expression(next(tokens)))
            if next(tokens) == ")":
                return lambda yhat, y: operator(*(operand(yhat, y) for operand in operands))

    return expression(next(tokens))


def inputs(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """ŷ and y at the resolution of the logits, both zero where there is no label."""
    factor = labels.shape[-1] // logits.shape[-1]
    classes = logits.shape[1]
    labels = labels[:, factor // 2 :: factor, factor // 2 :: factor].unsqueeze(1)
    y = (labels == torch.arange(classes, device=labels.device).view(1, -1, 1, 1)).float()
    valid = (labels < classes).float()
    return logits.float().softmax(1) * valid, y


def built(name: str, classes: int) -> torch.nn.Module:
    """The network up to the logits of its head, which the loss is taken of."""
    build, options, _ = NETWORKS[name]
    network = build(encoder_weights=None, classes=classes, **options)
    network.segmentation_head[1] = torch.nn.Identity()
    return network


def rounds_of(options, network, loss, image, labels) -> float:
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    cuda = options.device.startswith("cuda")
    started = None
    for step in range(options.steps):
        if step == 0:
            if cuda:
                torch.cuda.synchronize()
            started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            options.device.split(":")[0], torch.bfloat16, enabled=options.precision == "bf16"
        ):
            logits = network(image)
        yhat, y = inputs(logits, labels)
        n, _, h, w = y.shape
        value = loss(yhat, y).sum() / (n * h * w)
        value.backward()
        if not value.item() < float("inf"):
            raise RuntimeError("the loss is not finite")
        optimizer.step()
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / options.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="deeplabv3plus_r50")
    parser.add_argument("--loss", action="append", dest="losses", metavar="FORMULA")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--memory-format", choices=["contiguous", "channels_last"], default="contiguous")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    classes = 11
    shape = (options.batch, 3, options.size, options.size)
    image = torch.randn(shape, device=options.device)
    labels = torch.randint(0, classes, (options.batch, options.size, options.size), device=options.device)
    found = {}
    for number in range(options.rounds + 1):
        for text in options.losses or ["neg(mul(y, log(yhat)))"]:
            network = built(options.network, classes).to(options.device).train()
            picture = image
            if options.memory_format == "channels_last":
                network = network.to(memory_format=torch.channels_last)
                picture = image.contiguous(memory_format=torch.channels_last)
            seconds = rounds_of(options, network, compiled(text), picture, labels)
            if number > 0:
                found.setdefault(text, []).append({"step": seconds})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
