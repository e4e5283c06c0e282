"""What the oracles of networks have in common: tensors that both sides compute from their names, and digests.

No weights are committed: both sides compute them, and the input, from the name of a tensor and the index of an
element (`drawn`). They keep signals near order 1 through a hundred layers, and running variances positive. The
Rust side is `plugins/vision/tests/shared/filled.rs`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

# Gradients and statistics are compared of the tensors at so many places of their sorted names.
PLACES = 8


def drawn(name: str, count: int) -> np.ndarray:
    """`count` numbers from -1 to below 1: the mixed sum of a hash of the name and the index (32 bits)."""
    start = 0x811C9DC5
    for byte in name.encode():
        start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + start) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * factor & 0xFFFFFFFF
    x ^= x >> 16
    return x.astype(np.float64) / 2.0**31 - 1.0


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor by its name: kernels of He's variance, scales and variances around 0.5 and 1."""
    u = drawn(name, int(np.prod(shape))).reshape(shape)
    if len(shape) == 4:
        return u * np.sqrt(6.0 / np.prod(shape[1:]))
    if name.endswith(".running_var"):
        return 1.0 + 0.5 * u
    if name.endswith(".weight"):
        return 0.5 + 0.25 * u
    return 0.2 * u


def picture(shape: tuple[int, ...], name: str = "image") -> torch.Tensor:
    """From -2 to below 2, in double precision."""
    return torch.from_numpy(drawn(name, int(np.prod(shape))).reshape(shape) * 2.0)


def fill(network: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(values(name, tuple(tensor.shape)).astype(np.float32)))


def probed(output: torch.Tensor, name: str = "probe") -> torch.Tensor:
    """A number to take gradients of: the output's values, each times a drawn one, summed."""
    return (output * torch.from_numpy(drawn(name, output.numel()).reshape(output.shape))).sum()


def group(name: str) -> str:
    return ".".join(name.split(".")[:3])


def inventory(network: torch.nn.Module) -> dict:
    """Of every group of names: how many, and SHA-256 over their sorted lines `name kind shape`."""
    lines: dict[str, list[str]] = {}
    for name, tensor in network.state_dict().items():
        kind = str(tensor.dtype).removeprefix("torch.")
        shape = "x".join(map(str, tensor.shape))
        lines.setdefault(group(name), []).append(f"{name} {kind} {shape}\n")
    return {
        key: [len(held), hashlib.sha256("".join(sorted(held)).encode()).hexdigest()[:16]]
        for key, held in sorted(lines.items())
    }


def summary(tensor: torch.Tensor, samples: int) -> dict:
    """Values at evenly spread places, mean and standard deviation."""
    flat = tensor.detach().double().flatten()
    places = [index * (flat.numel() - 1) // (samples - 1) for index in range(samples)]
    return {
        "shape": list(tensor.shape),
        "samples": flat[places].tolist(),
        "mean": flat.mean().item(),
        "deviation": flat.std(unbiased=False).item(),
    }


def squared_sums(tensors: dict[str, torch.Tensor]) -> dict:
    """Of the tensors at evenly spread places of the sorted names."""
    names = sorted(tensors)
    chosen = [names[index * (len(names) - 1) // (PLACES - 1)] for index in range(PLACES)]
    return {name: tensors[name].double().square().sum().item() for name in chosen}
