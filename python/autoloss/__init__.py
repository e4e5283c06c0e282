"""Loss files of autoloss as modules of PyTorch.

`load` gives the module that `autoloss-host export --format pytorch` would write out. It interprets the
graph in the file, so that a training can take any loss file without a step of its own between.
"""

from .files import LossFileError
from .graph import Graph, GraphError, parse
from .loading import load
from .modules import BoxLoss, DenseLoss, Losses

__all__ = [
    "BoxLoss",
    "DenseLoss",
    "Graph",
    "GraphError",
    "LossFileError",
    "Losses",
    "load",
    "parse",
]
