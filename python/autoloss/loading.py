"""From a loss file to a module."""

import os
from dataclasses import replace
from typing import Any, Mapping, Optional, Union

from torch import nn

from .files import ACTIVATIONS, LossFile, LossFileError, convention, read
from .graph import GraphError, parse
from .modules import NO_LABEL, BoxLoss, DenseLoss, Losses


def load(
    source: Union[str, "os.PathLike[str]", Mapping[str, Any]],
    branch: Optional[str] = None,
    *,
    activation: Optional[str] = None,
    ignore_index: Optional[int] = None,
    reduction: str = "mean",
    check_target: Optional[bool] = None,
) -> nn.Module:
    """The loss of a file, or of what JSON made of one.

    One branch gives its loss, `forward(prediction, target)`. Several give `Losses`, unless `branch` names
    one; branches whose loss a plugin computes are left out. A file that does not say what the inputs are
    is taken to have a softmax `yhat` and a one-hot `y`, or the areas `i`, `u` and `e` of boxes.

    A file's scale is what the loss is multiplied by, so that the learning rate of the task's reference loss suits
    it; it is the module's attribute `scale`.

    `activation` ('softmax', 'sigmoid', 'identity' or 'boxes') and `ignore_index` override the file's.
    `check_target` says whether a target out of range is an error: by default on the CPU (`DenseLoss`).
    """
    file = read(source)
    if activation is not None and activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation is one of {known}, not {activation!r}")
    if branch is not None and branch not in file.branches:
        known = ", ".join(file.branches)
        raise LossFileError(f"the file has no branch {branch!r} (it has: {known})")
    wanted = [branch] if branch is not None else list(file.branches)
    losses = {}
    for name in wanted:
        if file.branches[name].lstrip().startswith("@"):
            continue
        losses[name] = _branch(file, name, activation, ignore_index, reduction, check_target)
    if not losses:
        names = ", ".join(f"{name!r}" for name in wanted)
        raise LossFileError(f"the losses of {names} are computed by the task's plugin")
    if len(losses) == 1:
        return next(iter(losses.values()))
    return Losses(losses)


def _branch(
    file: LossFile,
    name: str,
    activation: Optional[str],
    ignore_index: Optional[int],
    reduction: str,
    check_target: Optional[bool],
) -> nn.Module:
    found = convention(file, name)
    if activation is not None:
        found = replace(found, activation=activation)
    scale = file.scales.get(name, 1.0)
    try:
        graph = parse(file.branches[name], [entry.name for entry in found.inputs])
        if found.activation == "boxes":
            return BoxLoss(graph, reduction, scale)
        label = ignore_index if ignore_index is not None else found.void_label
        label = NO_LABEL if label is None else label
        return DenseLoss(graph, found, label, reduction, scale, check_target)
    except (GraphError, LossFileError) as error:
        raise LossFileError(f"branch {name!r}, {error}") from error
