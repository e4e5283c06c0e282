"""Losses as modules. They mean the same as the file that the host exports, line by line."""

from typing import Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor, nn

from .files import Convention, LossFileError
from .graph import Graph

#: What `ignore_index` is where a branch has no label for void, as in PyTorch.
NO_LABEL = -100


class _Loss(nn.Module):
    """What both kinds of branches share."""

    def __init__(self, graph: Graph, reduction: str, scale: float) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is mean, sum or none, not {reduction!r}")
        self.graph = graph
        self.reduction = reduction
        self.scale = scale

    def _reduced(self, values: Tensor, like: Tensor) -> Tensor:
        positions = self.scale * values.sum(dim=1)
        if self.reduction == "none":
            return positions.reshape(like.shape[:1] + like.shape[2:])
        if self.reduction == "sum" or positions.numel() == 0:
            return positions.sum()
        return positions.mean()


class DenseLoss(_Loss):
    """A loss of classes or maps: `forward(logits, target)`.

    Logits are (N, C), (N, C, L) or (N, C, H, W). The target holds the labels, without the axis C, or is
    of the logits' shape and holds what to predict, from 0 to 1 where the loss is given a softmax or says that
    its target is 0 or 1. Where a label is `ignore_index`, prediction and target are 0; such positions still
    count in means.

    One channel is that of class 1, and labels are 0 and 1. For a softmax it is the logit z of class 1 of two,
    and the softmax that of (0, z); otherwise labels are what to predict.

    `check_target` says whether a target out of range is an error. None: on the CPU, since elsewhere the check
    waits for the device. Unchecked, and always in compiled, traced and exported graphs, prediction and target
    are NaN there.

    'sum' goes over all values, 'mean' divides it by the number of positions N·H·W, 'none' gives the sum
    over C at each position.
    """

    def __init__(
        self,
        graph: Graph,
        convention: Convention,
        ignore_index: int,
        reduction: str,
        scale: float = 1.0,
        check_target: Optional[bool] = None,
    ) -> None:
        super().__init__(graph, reduction, scale)
        predictions = [entry.prediction for entry in convention.inputs]
        if len(predictions) > 2 or sum(predictions) > 1 or predictions.count(False) > 1:
            names = ", ".join(entry.name for entry in convention.inputs)
            raise LossFileError(f"expected one prediction and one target, not the inputs {names}")
        self.activation = convention.activation
        self.predictions = predictions
        self.ignore_index = ignore_index
        self.check_target = check_target
        #: Whether the target has values from 0 to 1.
        self.unit = self.activation == "softmax" or any(
            entry.binary and not entry.prediction for entry in convention.inputs
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        scores = _four_axes(_single(logits))
        wanted, valid = self._coded(target, logits.dim(), scores)
        if self.activation == "softmax":
            if scores.size(1) == 1:
                scores, wanted = _two_classes(scores, wanted, valid)
            scores = scores.softmax(dim=1)
        elif self.activation == "sigmoid":
            scores = scores.sigmoid()
        prediction = scores * valid
        inputs = [prediction if own else wanted for own in self.predictions]
        return self._reduced(self.graph(*inputs), logits)

    def _coded(self, target: Tensor, axes: int, scores: Tensor) -> Tuple[Tensor, Tensor]:
        """The target of logits with so many axes as (N, C, H, W), and where it counts.

        The latter is 1, or 0 at void, or NaN out of range.
        """
        channels = scores.size(1)
        # One channel stands for class 1 of two.
        classes = max(channels, 2)
        dense = target.dim() == axes
        if self.unit and channels == 1 and not target.is_floating_point():
            dense = False
        if dense:
            wanted = _four_axes(target).to(scores.dtype)
            void = torch.zeros_like(wanted[:, :1], dtype=torch.bool)
            outside = void
            if self.unit:
                # Interpolated maps may be off by a rounding.
                outside = ((wanted < -0.001) | (wanted > 1.001)).any(dim=1, keepdim=True)
        else:
            if target.is_floating_point():
                raise ValueError("classes are whole numbers; others have the logits' shape")
            labels = target if target.dim() == axes else target.unsqueeze(1)
            labels = _four_axes(labels).long()
            own = torch.arange(classes - channels, classes, device=labels.device)
            wanted = (labels == own.view(1, -1, 1, 1)).to(scores.dtype)
            void = labels == self.ignore_index
            outside = ((labels < 0) | (labels >= classes)) & ~void
        if wanted.shape != scores.shape:
            raise ValueError("the target does not fit the shape of the logits")
        if _checked(target, self.check_target) and bool(outside.any()):
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
                f"0 to {classes - 1}, and ignore_index is {self.ignore_index}"
            )
        valid = (~void).to(scores.dtype).masked_fill(outside, float("nan"))
        return wanted * valid, valid


class BoxLoss(_Loss):
    """A loss of boxes: `forward(deltas, target_deltas)`.

    Both are (N, 4), (N, 4, L) or (N, 4, H, W): dx, dy, ln w and ln h in units of one box of reference, the
    same for both (Faster R-CNN, arXiv 1506.01497, equation 2).
    """

    def __init__(self, graph: Graph, reduction: str, scale: float = 1.0) -> None:
        super().__init__(graph, reduction, scale)
        if len(graph.inputs) != 3:
            names = ", ".join(graph.inputs)
            raise LossFileError(f"expected the three areas of boxes, not the inputs {names}")

    def forward(self, deltas: Tensor, target_deltas: Tensor) -> Tensor:
        if deltas.shape != target_deltas.shape or deltas.size(1) != 4:
            raise ValueError("boxes and their targets have one shape (N, 4, ...)")
        boxes = _four_axes(_single(deltas))
        targets = _four_axes(target_deltas.to(boxes.dtype))
        return self._reduced(self.graph(*_areas(boxes, targets)), deltas)


class Losses(nn.Module):
    """All branches: `forward(predictions, targets)` takes both by branch and gives the losses so."""

    def __init__(self, losses: Mapping[str, nn.Module]) -> None:
        super().__init__()
        # Branches may have any name, and attributes of modules may not.
        self.names: List[str] = list(losses)
        self.losses = nn.ModuleList(losses.values())

    def forward(self, predictions: Dict[str, Tensor], targets: Dict[str, Tensor]) -> Dict[str, Tensor]:
        pairs = zip(self.names, self.losses)
        return {name: loss(predictions[name], targets[name]) for name, loss in pairs}


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
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _checked(target: Tensor, check_target: Optional[bool]) -> bool:
    """Whether a wrong target is an error: by default on the CPU, never in a graph."""
    # PyTorch 2.0 has no torch.compiler.
    compiler = getattr(torch, "compiler", None)
    is_compiling = getattr(compiler, "is_compiling", None)
    if torch.jit.is_tracing() or (is_compiling is not None and is_compiling()):
        return False
    if check_target is not None:
        return check_target
    return target.device.type == "cpu"


def _two_classes(scores: Tensor, wanted: Tensor, valid: Tensor) -> Tuple[Tensor, Tensor]:
    """The logit of class 1 as logits of two classes, and its target as theirs."""
    both = torch.cat([torch.zeros_like(scores), scores], dim=1)
    return both, torch.cat([valid - wanted, wanted], dim=1)


def _extent(boxes: Tensor, axis: int) -> Tuple[Tensor, Tensor, Tensor]:
    """The side, the lower and the upper end of boxes along an axis."""
    centre = boxes[:, axis : axis + 1]
    side = boxes[:, axis + 2 : axis + 3].exp()
    half = side * 0.5
    return side, centre - half, centre + half


def _areas(boxes: Tensor, targets: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The areas of the intersection, the union and the smallest enclosing box."""
    common, hull, own, other = [], [], [], []
    for axis in (0, 1):
        side, low, high = _extent(boxes, axis)
        target_side, target_low, target_high = _extent(targets, axis)
        overlap = torch.minimum(high, target_high) - torch.maximum(low, target_low)
        common.append(overlap.relu())
        hull.append(torch.maximum(high, target_high) - torch.minimum(low, target_low))
        own.append(side)
        other.append(target_side)
    intersection = common[0] * common[1]
    union = own[0] * own[1] + other[0] * other[1] - intersection
    return intersection, union, hull[0] * hull[1]
