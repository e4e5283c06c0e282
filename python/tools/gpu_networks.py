"""Networks of the plugins in plain PyTorch and torchvision, for `gpu_check.py` to measure beside autoloss's.

The same layers with the same tensors; names differ. Only what a training step computes is here: no weights
are loaded and nothing is enlarged to the picture's size, since the loss is taken at the head's resolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 11


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution, batch normalisation, non-linearity."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(outputs)]
    if act is not None:
        layers.append(act(inplace=True))
    return nn.Sequential(*layers)


def separable(inputs: int, outputs: int, rate: int = 1) -> nn.Sequential:
    """A dilated convolution of each channel, one of all channels, normalised and rectified."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False)
    return nn.Sequential(depthwise, conv_norm(inputs, outputs))


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ over ResNet-50 with an output stride of 16, as segmentation-models-pytorch builds it."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        encoder = resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
        self.stem = nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu, encoder.maxpool)
        self.fine_stage = encoder.layer1
        self.deep_stages = nn.Sequential(encoder.layer2, encoder.layer3, encoder.layer4)
        self.point = conv_norm(2048, 256)
        self.dilated = nn.ModuleList(separable(2048, 256, rate) for rate in (12, 24, 36))
        self.pooled = conv_norm(2048, 256)
        self.project = nn.Sequential(conv_norm(5 * 256, 256), nn.Dropout(0.5))
        self.after = separable(256, 256)
        self.fine = conv_norm(256, 48)
        self.fuse = separable(48 + 256, 256)
        self.head = nn.Conv2d(256, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine_stage(self.stem(image))
        deep = self.deep_stages(fine)
        branches = [self.point(deep), *(layer(deep) for layer in self.dilated)]
        mean = self.pooled(F.adaptive_avg_pool2d(deep, 1))
        branches.append(F.interpolate(mean, deep.shape[2:], mode="bilinear", align_corners=False))
        coarse = self.after(self.project(torch.cat(branches, 1)))
        coarse = F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=True)
        return self.head(self.fuse(torch.cat([coarse, self.fine(fine)], 1)))


class Inverted(nn.Module):
    """A block of EfficientNet-Lite: widen, convolve each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [conv_norm(inputs, wide, act=nn.ReLU6)] if expansion > 1 else []
        depthwise = conv_norm(wide, wide, kernel, stride=stride, groups=wide, act=nn.ReLU6)
        self.layers = nn.Sequential(*widen, depthwise, conv_norm(wide, outputs, act=None))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.skips else self.layers(x)


class Lite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: maps of the strides 4, 8, 16 and 32."""

    # Blocks, side of the window, stride, channels.
    STAGES = [
        (1, 3, 1, 16),
        (2, 3, 2, 24),
        (2, 5, 2, 40),
        (3, 3, 2, 80),
        (3, 5, 1, 112),
        (4, 5, 2, 192),
        (1, 3, 1, 320),
    ]
    GIVEN = (1, 2, 4, 6)

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, 32, 3, stride=2, act=nn.ReLU6)
        self.stages = nn.ModuleList()
        inputs = 32
        for number, (blocks, kernel, stride, outputs) in enumerate(self.STAGES):
            stage = []
            for block in range(blocks):
                stage.append(
                    Inverted(inputs, outputs, kernel, stride if block == 0 else 1, 6 if number else 1)
                )
                inputs = outputs
            self.stages.append(nn.Sequential(*stage))

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = self.stem(image), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.GIVEN:
                maps.append(x)
        return maps


class FpnLite0(nn.Module):
    """A feature pyramid of 64 channels over EfficientNet-Lite0."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Lite0()
        self.laterals = nn.ModuleList(nn.Conv2d(inputs, 64, 1) for inputs in (320, 112, 40, 24))
        self.levels = nn.ModuleList(self.level(doublings) for doublings in (3, 2, 1, 0))
        self.dropout = nn.Dropout2d(0.2)
        self.head = nn.Conv2d(64, CLASSES, 1)

    @staticmethod
    def level(doublings: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for number in range(max(doublings, 1)):
            layers += [
                nn.Conv2d(64, 64, 3, padding=1, bias=False),
                nn.GroupNorm(32, 64),
                nn.ReLU(inplace=True),
            ]
            if number < doublings:
                layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
        return nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        above: Tensor | None = None
        brought = []
        for map_, lateral, level in zip(reversed(self.encoder(image)), self.laterals, self.levels):
            pyramid = lateral(map_)
            if above is not None:
                pyramid = pyramid + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = pyramid
            brought.append(level(pyramid))
        return self.head(self.dropout(torch.stack(brought).sum(0)))


def faster_rcnn_r50(size: int) -> nn.Module:
    """torchvision's Faster R-CNN with frozen normalisations, which takes pictures of this side as they are."""
    from torchvision.models import resnet50
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.ops.misc import FrozenBatchNorm2d

    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), trainable_layers=5)
    return FasterRCNN(backbone, num_classes=CLASSES, min_size=size, max_size=size)


def built(name: str, size: int) -> nn.Module:
    """The network of this name for pictures of this side, on the CPU, for training."""
    makers = {"deeplabv3plus_r50": DeepLabV3Plus, "fpn_lite0": FpnLite0}
    network = faster_rcnn_r50(size) if name == "faster_rcnn_r50" else makers[name]()
    return network.train()


def elements(network: nn.Module) -> int:
    """Numbers in all parameters and running statistics, without the counters of batches."""
    own = network.state_dict().items()
    return sum(tensor.numel() for name, tensor in own if not name.endswith("num_batches_tracked"))
