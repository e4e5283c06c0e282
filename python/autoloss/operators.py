"""The operators of loss graphs on tensors (N, C, H, W).

They are composed as the host composes them, so that gradients at 0 and at ties are the same.
"""

from typing import Callable, Dict

import torch
import torch.nn.functional as F
from torch import Tensor

#: Added in `inv`, `log` and `sqrt`.
EPSILON = 1e-12


def epsilon(x: Tensor) -> Tensor:
    """ε as a tensor: exporters to ONNX take a number so small for 0, and drop it."""
    return x.new_full([1], EPSILON)


def inv(x: Tensor) -> Tensor:
    """1 / (x + ε)."""
    return (x + epsilon(x)).reciprocal()


def log(x: Tensor) -> Tensor:
    """sign(x) · log(|x| + ε)."""
    return x.sign() * (x.abs() + epsilon(x)).log()


def sqrt(x: Tensor) -> Tensor:
    """sign(x) · √(|x| + ε)."""
    return x.sign() * (x.abs() + epsilon(x)).sqrt()


def mean_nhw(x: Tensor) -> Tensor:
    """The mean of each channel, everywhere."""
    return x.mean(dim=[0, 2, 3], keepdim=True).expand_as(x)


def mean_c(x: Tensor) -> Tensor:
    """The mean over the channels at each position."""
    return x.mean(dim=1, keepdim=True).expand_as(x)


def max_pool3x3(x: Tensor) -> Tensor:
    """The greatest value of each neighbourhood of 3×3."""
    return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)


def min_pool3x3(x: Tensor) -> Tensor:
    """The least value of each neighbourhood of 3×3."""
    return -F.max_pool2d(-x, kernel_size=3, stride=1, padding=1)


#: All operators by their names in the text form.
BY_NAME: Dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "mul": torch.mul,
    "neg": torch.neg,
    "abs": torch.abs,
    "inv": inv,
    "log": log,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "square": torch.square,
    "sqrt": sqrt,
    "mean_nhw": mean_nhw,
    "mean_c": mean_c,
    "max_pool3x3": max_pool3x3,
    "min_pool3x3": min_pool3x3,
}

#: How many operands each takes.
ARITY: Dict[str, int] = {name: 2 if name in ("add", "mul") else 1 for name in BY_NAME}
