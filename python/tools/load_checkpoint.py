#!/usr/bin/env python3
"""Loads a checkpoint of autoloss into segmentation-models-pytorch: a check, and an example to copy.

    python load_checkpoint.py pspnet_r50 final.safetensors

Needs torch, segmentation-models-pytorch 0.5.0 and safetensors. Images for the model are RGB, divided by
255, less `MEAN` over `DEVIATION` of its encoder.
"""

from __future__ import annotations

import argparse
import sys

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NETWORKS = {
    "deeplabv3plus_r50": (smp.DeepLabV3Plus, {"encoder_name": "resnet50"}, IMAGENET),
    "deeplabv3plus_r101": (smp.DeepLabV3Plus, {"encoder_name": "resnet101"}, IMAGENET),
    "pspnet_r50": (
        smp.PSPNet,
        {"encoder_name": "resnet50", "encoder_depth": 5, "output_stride": 8},
        IMAGENET,
    ),
    "fpn_lite0": (
        smp.FPN,
        {
            "encoder_name": "tu-tf_efficientnet_lite0",
            "decoder_pyramid_channels": 64,
            "decoder_segmentation_channels": 64,
        },
        SYMMETRIC,
    ),
}


def load(network: str, file: str) -> torch.nn.Module:
    """The network with the weights of `file`, for evaluation; the number of classes is the file's."""
    state = load_file(file)
    classes = state["segmentation_head.0.bias"].numel()
    build, options, _ = NETWORKS[network]
    model = build(encoder_weights=None, classes=classes, **options)
    model.load_state_dict(state, strict=True)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("file")
    options = parser.parse_args()
    try:
        model = load(options.network, options.file)
    except (OSError, KeyError, RuntimeError) as error:
        sys.exit(f"{options.file} is no checkpoint of {options.network}: {error}")
    mean, deviation = NETWORKS[options.network][2]
    with torch.no_grad():
        shape = tuple(model(torch.zeros(1, 3, 64, 64)).shape)
    print(f"loaded; images (v/255 - {mean}) / {deviation}, 64x64 of them give logits {shape}")


if __name__ == "__main__":
    main()
