"""A training in PyTorch with an exported loss, as close to the host's own as another program can be.

Network (`unet_tiny`), recipe and augmentation are those of the host's task `voc_seg`; pictures come from
a folder that anyone can write:

    train_images.npy  uint8 (N, H, W, 3)      train_labels.npy  uint8 (N, H, W), 255 for void
    test_images.npy   uint8 (M, H, W, 3)      test_labels.npy   uint8 (M, H, W)

H and W are multiples of 8. Random numbers are other than the host's, so scores agree as far as two seeds
do.

    export_training.py LOSS [--data FOLDER] [--steps 450] [--seed 0] ...

LOSS is an exported file, a loss file, or `cross_entropy`, PyTorch's own. Without --data it trains on
pictures drawn from a seed. The scores are printed as JSON.
"""

import argparse
import importlib.util
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOID = 255
#: Pixels to a logit, per axis, and which of them gives the label.
STRIDE, OFFSET = 4, 2
MEAN, DEVIATION = 118.0, 60.0


class ConvNorm(nn.Module):
    """A convolution, batch normalisation and rectification."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.normal_(self.conv.weight, std=math.sqrt(2.0 / (inputs * kernel**2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class UnetTiny(nn.Module):
    """Images (N, 3, H, W) to logits (N, C, H/4, W/4)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        fine, coarse = 48, 64
        self.stem = ConvNorm(3, fine, 7, STRIDE)
        self.fine = ConvNorm(fine, fine, 3, 1)
        self.down = ConvNorm(fine, coarse, 3, 2)
        self.coarse = nn.ModuleList(ConvNorm(coarse, coarse, 3, 1) for _ in range(2))
        self.up = ConvNorm(coarse, fine, 1, 1)
        self.head = nn.Conv2d(fine, classes, 1)
        nn.init.normal_(self.head.weight, std=math.sqrt(1.0 / fine))
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        fine = self.fine(x) + x
        x = self.down(fine)
        for block in self.coarse:
            x = block(x) + x
        back = F.interpolate(self.up(x), size=fine.shape[2:], mode="nearest")
        return self.head(back + fine)


def upsample(logits: Tensor) -> Tensor:
    """Logits at the resolution of the pictures, each at the pixel whose label it was trained on."""
    height, width = logits.shape[2:]
    between = [(height - 1) * STRIDE + 1, (width - 1) * STRIDE + 1]
    inner = F.interpolate(logits, size=between, mode="bilinear", align_corners=True)
    after = STRIDE - 1 - OFFSET
    return F.pad(inner, [OFFSET, after, OFFSET, after], mode="replicate")


def augmented(image: np.ndarray, labels: np.ndarray, colour: float, random: np.random.Generator):
    """A picture perhaps mirrored, in other colours."""
    if random.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    contrast = 1.0 + colour * random.uniform(-1.0, 1.0)
    brightness = 64.0 * colour * random.uniform(-1.0, 1.0)
    gains = contrast * (1.0 + 0.3 * colour * random.uniform(-1.0, 1.0, 3))
    values = (image.astype(np.float32) - 128.0) * gains + 128.5 + brightness
    return values.clip(0.0, 255.0).astype(np.uint8), labels


def images_of(pictures) -> Tensor:
    values = torch.from_numpy(np.stack(pictures).astype(np.float32))
    return ((values - MEAN) / DEVIATION).permute(0, 3, 1, 2).contiguous()


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """A linear warm-up, then half a cosine."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def train(
    loss: nn.Module,
    data: Path,
    steps: int = 450,
    batch_size: int = 8,
    peak: float = 0.01,
    warmup: int = 90,
    weight_decay: float = 0.05,
    colour: float = 0.2,
    classes: int = 0,
    seed: int = 0,
) -> dict:
    """Trains a fresh network and gives its scores on the test pictures, and the last loss."""
    images, labels, test_images, test_labels = (
        np.load(data / f"{split}_{what}.npy", mmap_mode="r")
        for split in ("train", "test")
        for what in ("images", "labels")
    )
    if classes == 0:
        classes = int(max(part[part != VOID].max() for part in (labels, test_labels))) + 1
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = UnetTiny(classes)
    decayed = [own for own in network.parameters() if own.dim() > 1]
    others = [own for own in network.parameters() if own.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, lr=peak, weight_decay=0.0)
    order = []
    network.train()
    for step in range(steps):
        while len(order) < batch_size:
            order.extend(random.permutation(len(images)).tolist())
        batch, order = order[:batch_size], order[batch_size:]
        pairs = [augmented(images[at], labels[at], colour, random) for at in batch]
        target = torch.from_numpy(np.stack([pair[1] for pair in pairs]).astype(np.int64))
        logits = network(images_of([pair[0] for pair in pairs]))
        value = loss(logits, target[:, OFFSET::STRIDE, OFFSET::STRIDE])
        optimizer.zero_grad()
        value.backward()
        if not torch.isfinite(value):
            raise FloatingPointError(f"the loss is {value.item()} at step {step}")
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, warmup)
        optimizer.step()
    scores = evaluate(network, test_images, test_labels, classes)
    return {**scores, "final_loss": value.item()}


@torch.no_grad()
def evaluate(network: nn.Module, images: np.ndarray, labels: np.ndarray, classes: int) -> dict:
    """Scores over all pictures together, void left out and absent classes skipped."""
    network.eval()
    counts = np.zeros((classes, classes), dtype=np.int64)
    for first in range(0, len(images), 16):
        logits = upsample(network(images_of(images[first : first + 16])))
        predicted = logits.argmax(1).numpy()
        target = labels[first : first + 16].astype(np.int64)
        counted = target < classes
        pairs = target[counted] * classes + predicted[counted]
        counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hits
    present = union > 0
    return {
        "mIoU": float((hits[present] / union[present]).mean()),
        "gAcc": float(hits.sum() / counts.sum()),
    }


def draw(folder: Path, seed: int = 0, train: int = 400, test: int = 100, side: int = 64) -> Path:
    """Pictures of squares, discs, rings and stripes before a textured ground, drawn from a seed."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[0:side, 0:side]
    for split, count in (("train", train), ("test", test)):
        images = np.empty((count, side, side, 3), np.uint8)
        labels = np.zeros((count, side, side), np.uint8)
        for at in range(count):
            slope = random.uniform(-1.0, 1.0, 3)
            ground = 128.0 + slope[0] * (down - side / 2) + slope[1] * (right - side / 2)
            picture = ground[..., None] + random.uniform(-40.0, 40.0, 3)
            for _ in range(random.integers(2, 5)):
                kind = int(random.integers(1, 5))
                y, x = random.uniform(10, side - 10, 2)
                size = random.uniform(6.0, 14.0)
                far = np.hypot(down - y, right - x)
                inside = (np.abs(down - y) < size) & (np.abs(right - x) < size)
                if kind in (2, 3):
                    inside = far < size
                if kind == 3:
                    inside &= far > 0.5 * size
                rim = inside & ~np.roll(inside, 1, 0)
                shade = random.uniform(0.0, 255.0, 3) * np.ones((side, side, 1))
                if kind == 4:
                    shade = shade * (0.4 + 0.6 * ((down + right) % 6 < 3))[..., None]
                picture = np.where(inside[..., None], shade, picture)
                labels[at][inside] = kind
                labels[at][rim] = VOID
            noise = random.normal(0.0, 8.0, picture.shape)
            images[at] = (picture + noise).clip(0, 255).astype(np.uint8)
        np.save(folder / f"{split}_images.npy", images)
        np.save(folder / f"{split}_labels.npy", labels)
    return folder


def read_loss(name: str) -> nn.Module:
    """An exported file with one branch, a loss file, or PyTorch's cross entropy."""
    if name == "cross_entropy":
        return PlainCrossEntropy()
    if name.endswith(".json"):
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        import autoloss

        return autoloss.load(name, ignore_index=VOID)
    spec = importlib.util.spec_from_file_location("exported", name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = [entry for entry in vars(module).values() if isinstance(entry, type)]
    (found,) = (entry for entry in own if entry.__module__ == "exported")
    return found(ignore_index=VOID)


class PlainCrossEntropy(nn.Module):
    """Cross entropy by PyTorch; void counts in the mean, as in loss graphs."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        total = F.cross_entropy(logits, target, ignore_index=VOID, reduction="sum")
        return total / target.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("loss")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--classes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        scores = train(
            read_loss(options.loss),
            options.data or draw(Path(folder)),
            steps=options.steps,
            batch_size=options.batch_size,
            classes=options.classes,
            seed=options.seed,
        )
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
