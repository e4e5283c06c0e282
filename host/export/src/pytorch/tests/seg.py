"""Loss of task voc_seg: found.

Written by autoloss; it needs PyTorch alone. In formulas ε = 1e-12 is left out: 1/x is
    1/(x + ε), log x is sign(x)·log(|x| + ε), √x is sign(x)·√(|x| + ε).

Branch seg: −y·log(ŷ)

Where it comes from:
- selection_mean: 0.71
"""

from typing import Tuple

import torch
from torch import Tensor, nn


def _four_axes(x: Tensor) -> Tensor:
    """(N, C), (N, C, L) or (N, C, H, W) as (N, C, H, W)."""
    if x.dim() == 2:
        return x[:, :, None, None]
    if x.dim() == 3:
        return x[:, :, :, None]
    if x.dim() != 4:
        raise ValueError(f"expected 2 to 4 axes (N, C, ...), got {x.dim()}")
    return x


def _single(x: Tensor) -> Tensor:
    """Half precision as single precision; other types as they are."""
    if x.dtype == torch.float16 or x.dtype == torch.bfloat16:
        return x.float()
    return x


def _coded(
    target: Tensor, axes: int, scores: Tensor, ignore_index: int
) -> Tuple[Tensor, Tensor]:
    """The target of logits with so many axes as (N, C, H, W), and where it counts."""
    if target.dim() == axes:
        wanted = _four_axes(target).to(scores.dtype)
        valid = torch.ones_like(scores[:, :1])
    else:
        if target.is_floating_point():
            raise ValueError("classes are whole numbers; others have the logits' shape")
        labels = _four_axes(target.unsqueeze(1)).long()
        classes = torch.arange(scores.size(1), device=labels.device).view(1, -1, 1, 1)
        inside = (labels >= 0) & (labels < scores.size(1)) & (labels != ignore_index)
        wanted = ((labels == classes) & inside).to(scores.dtype)
        valid = inside.to(scores.dtype)
    if wanted.shape != scores.shape:
        raise ValueError("the target does not fit the shape of the logits")
    return wanted, valid


def _reduced(values: Tensor, like: Tensor, reduction: str) -> Tensor:
    """Values (N, C, H, W) summed over C, then reduced over the positions of `like`."""
    positions = values.sum(dim=1)
    if reduction == "none":
        return positions.reshape(like.shape[:1] + like.shape[2:])
    if reduction == "sum" or positions.numel() == 0:
        return positions.sum()
    return positions.mean()


def _epsilon(x: Tensor) -> Tensor:
    """ε as a tensor: exporters to ONNX take a number so small for 0, and drop it."""
    return x.new_full([1], 1e-12)


def _log(x: Tensor) -> Tensor:
    """sign(x) · log(|x| + ε)."""
    return x.sign() * (x.abs() + _epsilon(x)).log()


class SegLoss(nn.Module):
    """The loss of branch seg.

    Formula: −y·log(ŷ)
    Inputs: yhat: softmax of the logits, y: target.
    Text form: neg(mul(y, log(yhat)))
    As it was found: neg(mul(square(y), log(yhat)))

    forward(logits, target): logits (N, C), (N, C, L) or (N, C, H, W). The target holds
        the classes, without the axis C, or is of the logits' shape and holds what to
        predict.
    Where a class is ignore_index or not among 0 … C − 1, prediction and target are 0;
        such positions still count in means.
    reduction: 'sum' over all values, 'mean' divides it by the number of positions
        N·H·W, 'none' gives the sum over C at each position.
    """

    def __init__(self, ignore_index: int = 255, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is mean, sum or none, not {reduction!r}")
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        scores = _four_axes(_single(logits))
        wanted, valid = _coded(target, logits.dim(), scores, self.ignore_index)
        prediction = scores.softmax(dim=1) * valid
        return _reduced(self.formula(prediction, wanted), logits, self.reduction)

    def formula(self, yhat: Tensor, y: Tensor) -> Tensor:
        """The value of the formula, everywhere."""
        return -(y * _log(yhat))
