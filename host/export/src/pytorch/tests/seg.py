"""Loss of task voc_seg: found.

Written by autoloss; it needs PyTorch alone. In formulas ε = 1e-12 is left out: 1/x is
    1/(x + ε), log x is sign(x)·log(|x| + ε), √x is sign(x)·√(|x| + ε).

Branch seg: −y·log(ŷ)

Where it comes from:
- selection_mean: 0.71
"""

from typing import Optional, Tuple

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


def _checked(target: Tensor, check_target: Optional[bool]) -> bool:
    """Whether a wrong target is an error: by default on the CPU, never in a graph."""
    if not torch.jit.is_scripting():
        # PyTorch 2.0 has no torch.compiler.
        compiler = getattr(torch, "compiler", None)
        is_compiling = getattr(compiler, "is_compiling", None)
        if torch.jit.is_tracing() or (is_compiling is not None and is_compiling()):
            return False
    if check_target is not None:
        return check_target
    return target.device.type == "cpu"


def _coded(
    target: Tensor,
    axes: int,
    scores: Tensor,
    unit: bool,
    ignore_index: int,
    check_target: Optional[bool],
) -> Tuple[Tensor, Tensor]:
    """The target of logits with so many axes as (N, C, H, W), and where it counts.

    The latter is 1, or 0 at void, or NaN out of range. `unit`: values are from 0 to 1.
    """
    channels = scores.size(1)
    # One channel stands for class 1 of two.
    classes = max(channels, 2)
    dense = target.dim() == axes
    if unit and channels == 1 and not target.is_floating_point():
        dense = False
    if dense:
        wanted = _four_axes(target).to(scores.dtype)
        void = torch.zeros_like(wanted[:, :1], dtype=torch.bool)
        outside = void
        if unit:
            # Interpolated maps may be off by a rounding.
            outside = ((wanted < -0.001) | (wanted > 1.001)).any(dim=1, keepdim=True)
    else:
        if target.is_floating_point():
            raise ValueError("classes are whole numbers; others have the logits' shape")
        labels = target if target.dim() == axes else target.unsqueeze(1)
        labels = _four_axes(labels).long()
        own = torch.arange(classes - channels, classes, device=labels.device)
        wanted = (labels == own.view(1, -1, 1, 1)).to(scores.dtype)
        void = labels == ignore_index
        outside = ((labels < 0) | (labels >= classes)) & ~void
    if wanted.shape != scores.shape:
        raise ValueError("the target does not fit the shape of the logits")
    if _checked(target, check_target) and bool(outside.any()):
        if dense:
            least, greatest = float(wanted.min()), float(wanted.max())
            raise ValueError(
                f"values out of range, from {least} to {greatest}: a target of the "
                "logits' shape has values from 0 to 1, and ignore_index is for labels"
            )
        wrong = target.reshape(-1).long()[outside.reshape(-1)]
        low, high = int(wrong.min()), int(wrong.max())
        raise IndexError(
            f"labels out of range, from {low} to {high}: there are {classes} classes, "
            f"0 to {classes - 1}, and ignore_index is {ignore_index}"
        )
    valid = (~void).to(scores.dtype).masked_fill(outside, float("nan"))
    return wanted * valid, valid


def _two_classes(
    scores: Tensor, wanted: Tensor, valid: Tensor
) -> Tuple[Tensor, Tensor]:
    """The logit of class 1 as logits of two classes, and its target as theirs."""
    both = torch.cat([torch.zeros_like(scores), scores], dim=1)
    return both, torch.cat([valid - wanted, wanted], dim=1)


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
    Both are equal where the target is 0 or 1.

    forward(logits, target): logits (N, C), (N, C, L) or (N, C, H, W). The target holds
        the labels, without the axis C, or is of the logits' shape and holds what to
        predict, from 0 to 1.
    Where a label is ignore_index, prediction and target are 0; such positions still
        count in means.
    One channel is the logit z of class 1 of two, the softmax that of (0, z); labels are
        0 and 1.
    check_target: whether a target out of range is an error. None: on the CPU, since
        elsewhere the check waits for the device. Unchecked, and always in compiled,
        traced and exported graphs, prediction and target are NaN there.
    reduction: 'sum' over all values, 'mean' divides it by the number of positions
        N·H·W, 'none' gives the sum over C at each position.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        reduction: str = "mean",
        check_target: Optional[bool] = None,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is mean, sum or none, not {reduction!r}")
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.check_target = check_target

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        scores = _four_axes(_single(logits))
        wanted, valid = _coded(
            target,
            logits.dim(),
            scores,
            True,
            self.ignore_index,
            self.check_target,
        )
        if scores.size(1) == 1:
            scores, wanted = _two_classes(scores, wanted, valid)
        prediction = scores.softmax(dim=1) * valid
        return _reduced(self.formula(prediction, wanted), logits, self.reduction)

    def formula(self, yhat: Tensor, y: Tensor) -> Tensor:
        """The value of the formula, everywhere."""
        return -(y * _log(yhat))
