"""Seconds of the loss-rejection protocol in eager PyTorch.

The Python side of `cargo xtask bench screening`: the losses of a file that the Rust side wrote, each optimised for
as many steps from random raw predictions of the same shape, on targets of coherent regions, by Adam with the same
settings; ended where the loss is not finite. Prints one JSON object.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from training_step import compiled  # noqa: E402


def regions(samples: int, classes: int, height: int, width: int) -> torch.Tensor:
    """One-hot targets whose classes are rectangles."""
    rows = torch.arange(height).view(1, -1, 1) * 3 // height
    columns = torch.arange(width).view(1, 1, -1) * 3 // width
    labels = (rows * 3 + columns + torch.arange(samples).view(-1, 1, 1)) % classes
    return torch.nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float()


def protocol(loss, raw: torch.Tensor, y: torch.Tensor, steps: int) -> int:
    """Steps made."""
    x = raw.clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([x], lr=0.1, weight_decay=0.0)
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        value = loss(x.softmax(1), y).sum() / (y.shape[2] * y.shape[3])
        value.backward()
        if not torch.isfinite(value):
            return step
        optimizer.step()
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most", type=int, default=50, help="losses that are timed, the first of the file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    work = json.loads(options.file.read_text())
    samples, classes, height, width = work["shape"]
    y = regions(samples, classes, height, width)
    raw = torch.randn(work["shape"])
    losses = [compiled(text) for text in work["losses"][: options.most]]
    # For caches and clocks.
    protocol(losses[0], raw, y, 20)
    started = time.perf_counter()
    steps = sum(protocol(loss, raw, y, work["steps"]) for loss in losses)
    print(json.dumps({"seconds": time.perf_counter() - started, "losses": len(losses), "steps": steps}))


if __name__ == "__main__":
    main()
