#!/usr/bin/env python3
"""What autoloss does on a GPU, measured in a few minutes: one JSON and one Markdown table.

    venv/bin/python autoloss-*/python/tools/gpu_check.py --device cuda:0 --minutes 8 --out gpu_check

Needs PyTorch 2.11.0 with CUDA and torchvision, nothing else. `cargo xtask gpu-check` makes the package that
this is part of. Every section stands alone: what fails or no longer fits the time is told in its place.
`--device cpu --small` tries it all at toy sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import re
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gpu_networks
import torch
import torch.nn.functional as F

Json = dict[str, Any]
PLUGINS = {"voc_seg": "libvoc_seg.so", "coco_det": "libcoco_det.so"}

# A step in single precision sums in another order on each device. Without TF32 that moves the gradient of most
# networks by 1e-7 to 1e-3, and an operator that is wrong moves it by more than this.
TOLERANCE = 2e-2
# Through many untrained normalisations rounding grows to percents (two layouts on one CPU: 5e-2 in the first layer of
# fpn_lite0), so there the whole gradient may differ by so many times what two layouts on the CPU differ by.
TIMES_ROUNDING = 3.0
# Which regions a detector samples hangs on ties between proposals, which rounding breaks.
SAMPLED_TOLERANCE = 2e-1
# Rounding does not grow up to here, so that these parts are held to TOLERANCE.
HEADS = {"voc_seg": ("first.decoder.", "first.segmentation_head."), "coco_det": ("first.rpn.head.",)}

GOAL_RATIO, GOAL_WAITING, GOAL_EIGHT_WORKERS = 1.0, 0.05, 6.0
# The share of the time that has passed when each section gives way to the next.
ENDS = {"machine": 0.1, "gradients": 0.25, "speed": 0.55, "workers": 0.74, "search": 1.0}


class Failure(Exception):
    """Why something has no result, in one sentence."""


@dataclass
class Check:
    """What the sections share."""

    program: Path
    device: str
    small: bool
    seconds: float
    folder: Path
    began: float = field(default_factory=time.monotonic)
    section_ends: float = 0.0
    # Numbers in the tensors of each network, as autoloss stores it.
    elements: dict[str, int] = field(default_factory=dict)

    def left(self) -> float:
        """Seconds that the present section still has."""
        return self.section_ends - time.monotonic()

    def begin(self, section: str) -> None:
        self.section_ends = self.began + ENDS[section] * self.seconds

    def demand(self, seconds: float) -> None:
        if self.left() < seconds:
            raise Failure("skipped: no time was left")

    @property
    def encoder(self) -> Path:
        """The pretrained encoder of the package."""
        return self.program.parents[1] / "share/autoloss/efficientnet_lite0.safetensors"

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")


@dataclass
class Finished:
    """A command that succeeded."""

    stdout: str
    # Lines of standard error with the moment at which each came.
    log: list[tuple[float, str]]
    seconds: float


def host(check: Check, arguments: list[str], timeout: float, extra: dict[str, str] | None = None) -> Finished:
    """Runs autoloss-host with the PyTorch that runs this, and ends it with its workers when its time is over."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '')}"
    environment["XDG_CACHE_HOME"] = str(check.folder / "cache")
    environment.update(NO_COLOR="1", **(extra or {}))
    limit = min(timeout, check.left())
    what = f"autoloss-host {arguments[0]}"
    if limit <= 1:
        raise Failure("skipped: no time was left")
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", dir=check.folder) as stdout:
        try:
            process = subprocess.Popen(
                [str(check.program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                cwd=check.folder,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"{check.program} does not start: {error}") from error
        log: list[tuple[float, str]] = []
        assert process.stderr is not None
        lines = process.stderr
        reader = threading.Thread(
            target=lambda: log.extend((time.monotonic(), line.rstrip()) for line in lines)
        )
        reader.start()
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{what} was ended after {limit:.0f} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join(5)
        stdout.seek(0)
        text = stdout.read()
    # `doctor` prints its result and fails where something does not work.
    if process.returncode != 0 and not (arguments[0] == "doctor" and text):
        said = [line for _, line in log if line.startswith("error")] or [line for _, line in log[-1:]]
        raise Failure(f"{what} ended with {process.returncode}: {said[-1] if said else 'it said nothing'}")
    return Finished(text, log, time.monotonic() - began)


def settings(values: dict[str, object]) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


# The machine.


def machine(check: Check) -> Json:
    found: Json = {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    with contextlib.suppress(ImportError):
        import torchvision

        found["torchvision"] = torchvision.__version__
    if check.on_gpu:
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name(check.device)
            found["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        else:
            found["error"] = "PyTorch sees no GPU"
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found["nvidia_smi"] = subprocess.run(
                query, capture_output=True, text=True, timeout=20
            ).stdout.splitlines()
    try:
        plugins = [word for name in PLUGINS.values() for word in ("--plugin", name)]
        found["doctor"] = json.loads(host(check, ["doctor", *plugins, "--json"], 60).stdout)
    except (Failure, ValueError) as error:
        found["doctor_error"] = str(error)
    return found


# One step on the CPU and on the GPU.


def read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    header, data = safetensors_parts(file)
    kinds = {
        "F32": torch.float32,
        "F64": torch.float64,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
    tensors = {}
    for name, about in header.items():
        kind, count = kinds[about["dtype"]], math.prod(about["shape"])
        start = about["data_offsets"][0]
        flat = (
            torch.frombuffer(data, dtype=kind, count=count, offset=start)
            if count
            else torch.empty(0, dtype=kind)
        )
        tensors[name] = flat.view(about["shape"])
    return tensors


def safetensors_parts(file: Path) -> tuple[Json, bytearray]:
    """The tensors' descriptions, and their data."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return header, bytearray(content[start:])


def write_start(trained: Path, start: Path) -> None:
    """Makes a checkpoint of no step from one of a step at a learning rate of next to nothing: the same parameters,
    with fresh running statistics and averages."""
    start.mkdir(parents=True)
    for name in ("network.safetensors", "optimizer.safetensors"):
        content = bytearray((trained / name).read_bytes())
        offset = 8 + int.from_bytes(content[:8], "little")
        for tensor, about in json.loads(content[8:offset]).items():
            if tensor == "__metadata__":
                continue
            first, last = (offset + place for place in about["data_offsets"])
            if tensor.endswith("running_var"):
                content[first:last] = struct.pack("<f", 1.0) * ((last - first) // 4)
            elif name.startswith("optimizer") or tensor.endswith(("running_mean", "num_batches_tracked")):
                content[first:last] = bytes(last - first)
        (start / name).write_bytes(content)
    (start / "progress.json").write_text(json.dumps({"schema": 1, "steps": 0, "optimizer_steps": 0}))


def one_step(
    check: Check,
    task: str,
    network: str,
    loss: str,
    device: str,
    threads: int,
    out: Path,
    layout: str = "contiguous",
) -> Path:
    """The checkpoint after one step of SGD from zero momentum: its optimiser's average is the gradient."""
    budget = {
        "steps": 1,
        "warmup_steps": 0,
        "optimizer": "sgd",
        "weight_decay": 0,
        "precision": "f32",
        "memory_format": layout,
        "batch_size": 4 if check.small else 8,
        "eval_images": 1,
        # So small that no parameter changes.
        "learning_rate": 1e-30,
    }
    # One step is not worth the features of every picture.
    own = {f"retrain.budget.{key}": value for key, value in budget.items()}
    own |= {"normalised": "false", "proxy.features_mb": 0}
    if task == "voc_seg" and network != "unet_tiny":
        own["network.dropout"] = 0
    arguments = [
        "retrain",
        loss,
        "--plugin",
        PLUGINS[task],
        "--network",
        network,
        "--device",
        device,
        "--seed",
        "3",
        "--workers",
        "1",
        "--threads",
        str(threads),
        "--out",
        str(out),
        *settings(own),
    ]
    if network == "fpn_lite0" and check.encoder.exists():
        arguments += ["--weights", str(check.encoder)]
    # Whatever libraries would do by default, no TF32 here.
    host(check, arguments, 120, {"NVIDIA_TF32_OVERRIDE": "0"})
    return out / "checkpoints/step-00000001"


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], names: list[str]) -> Json:
    """How far apart the same tensors are, all together; `worst` has the largest part in it."""
    squares = {name: (one[name].double() - other[name].double()).square().sum().item() for name in names}
    norms = [sum(side[name].double().square().sum().item() for name in names) for side in (one, other)]
    product = sum((one[name].double() * other[name].double()).sum().item() for name in names)
    if not names or norms[0] == 0:
        raise Failure("there is nothing to compare")
    return {
        "relative": math.sqrt(sum(squares.values()) / norms[0]),
        "cosine": product / math.sqrt(math.prod(norms)),
        "norm": math.sqrt(norms[0]),
        "worst": max(squares, key=lambda name: squares[name]),
    }


def gradient_row(check: Check, task: str, network: str, loss: str, threads: int) -> Json:
    folder = check.folder / f"step-{network}"

    def from_start(name: str, device: str, layout: str) -> Path:
        write_start(cpu, folder / name / "checkpoints/step-00000000")
        return one_step(check, task, network, loss, device, threads, folder / name, layout)

    cpu = one_step(check, task, network, loss, "cpu", threads, folder / "cpu")
    state = read_safetensors(cpu / "network.safetensors")
    counted = (tensor.numel() for name, tensor in state.items() if not name.endswith("num_batches_tracked"))
    check.elements[network] = sum(counted)
    other = from_start("other", check.device, "contiguous")
    rounded = from_start("rounded", "cpu", "channels_last")
    one, gpu, two = (read_safetensors(place / "optimizer.safetensors") for place in (cpu, other, rounded))
    names = sorted(one)
    head = [name for name in names if name.startswith(HEADS[task])]
    found: Json = {
        "network": network,
        "task": task,
        **distance(one, gpu, names),
        "head": distance(one, gpu, head),
        "rounding": distance(one, two, names)["relative"],
        "head_tolerance": TOLERANCE,
    }
    own = SAMPLED_TOLERANCE if task == "coco_det" else TOLERANCE
    found["tolerance"] = max(own, TIMES_ROUNDING * found["rounding"])
    found["within"] = found["relative"] <= found["tolerance"] and found["head"]["relative"] <= TOLERANCE
    moved, expected = (read_safetensors(place / "network.safetensors") for place in (other, rounded))
    running = sorted(name for name in expected if name.endswith(("running_mean", "running_var")))
    # Those of frozen normalisations stay.
    if running and expected[running[0]].any():
        found["running_statistics"] = distance(expected, moved, running)["relative"]
    return found


def gradients(check: Check) -> Json:
    check.demand(10)
    plugins = [word for name in PLUGINS.values() for word in ("--plugin", name)]
    offered = json.loads(host(check, ["inspect", *plugins, "--json"], 30).stdout)
    wanted = []
    for plugin in offered:
        task = plugin["tasks"][0]
        # The first that serves every branch.
        loss = next(loss["name"] for loss in task["reference_losses"] if not loss["only"])
        wanted += [(task["name"], network["name"], loss) for network in plugin["networks"]]
    if check.small:
        wanted = [row for row in wanted if not row[1].endswith(("r50", "r101"))]
    # What takes longest last.
    wanted.sort(key=lambda row: (row[1].endswith("r101"), row[1].endswith("r50"), row[1] != "unet_tiny"))
    cores = len(os.sched_getaffinity(0))
    beside = max(1, min(4, cores // 4))

    def row(of: tuple[str, str, str]) -> Json:
        try:
            return gradient_row(check, *of, max(1, cores // beside))
        except Exception as error:  # One network's failure is its own.
            return {"network": of[1], "task": of[0], "error": sentence(error)}

    with ThreadPoolExecutor(beside) as pool:
        rows = list(pool.map(row, wanted))
    return whole({"rows": rows, "equal_start": equal_start(check), "tf32": False})


def equal_start(check: Check) -> bool | str:
    """Whether a seed draws the same weights on both devices: kernels are drawn on the network's own device."""
    try:
        task, network = "voc_seg", "unet_tiny"
        fresh = one_step(check, task, network, "ce", check.device, 1, check.folder / "fresh")
        states = [
            read_safetensors(place / "network.safetensors")
            for place in (check.folder / f"step-{network}/cpu/checkpoints/step-00000001", fresh)
        ]
    except (Failure, OSError) as error:
        return sentence(error)
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0] if name.endswith("weight"))


# Speed, and the share of the time that trainings wait for data.


@dataclass(frozen=True)
class Row:
    network: str
    size: int
    batch: int
    precision: str
    layout: str
    steps: int

    @property
    def task(self) -> str:
        return "coco_det" if self.network.startswith("faster_rcnn") else "voc_seg"

    def told(self) -> Json:
        return {
            "network": self.network,
            "size": self.size,
            "batch": self.batch,
            "precision": self.precision,
            "memory_format": self.layout,
            "steps": self.steps,
        }


def rows_of(small: bool) -> list[Row]:
    if small:
        return [
            Row("deeplabv3plus_r50", 32, 2, "f32", "contiguous", 2),
            Row("fpn_lite0", 64, 2, "bf16", "channels_last", 4),
            Row("faster_rcnn_r50", 96, 2, "f32", "contiguous", 2),
        ]
    kinds = [("f32", "contiguous"), ("bf16", "channels_last"), ("f32", "channels_last")]
    # The most telling first, should the time not last for all.
    return [
        Row("deeplabv3plus_r50", 128, 16, *kinds[0], 100),
        Row("deeplabv3plus_r50", 512, 8, *kinds[0], 40),
        Row("deeplabv3plus_r50", 128, 16, *kinds[1], 100),
        Row("deeplabv3plus_r50", 512, 8, *kinds[1], 40),
        Row("fpn_lite0", 128, 16, *kinds[0], 100),
        Row("fpn_lite0", 128, 16, *kinds[1], 100),
        Row("faster_rcnn_r50", 512, 8, *kinds[0], 40),
        Row("faster_rcnn_r50", 512, 8, *kinds[1], 40),
        Row("deeplabv3plus_r50", 128, 16, *kinds[2], 100),
        Row("deeplabv3plus_r50", 512, 8, *kinds[2], 40),
    ]


def host_speed(check: Check, row: Row, turn: int) -> Json:
    """A search of one loss trains it twice in one process: the second training finds libtorch warm, so its seconds
    hold no start-up. It is judged on one picture, which takes no time."""
    out = check.folder / f"speed-{row.network}-{row.size}-{row.precision}-{row.layout}-{turn}"
    budget = {
        "steps": row.steps,
        "batch_size": row.batch,
        "precision": row.precision,
        "memory_format": row.layout,
        "optimizer": "sgd",
        "learning_rate": 1e-6,
        "warmup_steps": 0,
        "eval_images": 1,
    }
    own = {f"proxy.budget.{key}": value for key, value in budget.items()}
    own |= {"task.size": row.size, "proxy.pruning.enabled": "false", "proxy.repeat_best": "true"}
    arguments = [
        "search",
        "--plugin",
        PLUGINS[row.task],
        "--network",
        row.network,
        "--device",
        check.device,
        "--workers",
        "1",
        "--max-proxies",
        "1",
        "--no-final",
        "--no-lrp",
        "--no-gec",
        "--out",
        str(out),
    ]
    if row.task == "coco_det":
        arguments += [
            "--fix",
            "rpn_cls=ce",
            "--fix",
            "rpn_reg=l1",
            "--fix",
            "rcnn_cls=ce",
            "--guess",
            "add(1, neg(mul(i, inv(u))))",
        ]
    else:
        arguments += ["--guess", "ce"]
    host(check, arguments + settings(own), 300 if check.small else 60)
    with contextlib.closing(sqlite3.connect(out / "run.db")) as database:
        query = "SELECT purpose, verdict, steps, train_seconds, waited_seconds FROM evaluations ORDER BY id"
        found = list(database.execute(query))
    made = [one for one in found if one[:2] == ("repeat", "scored")]
    if not made:
        told = ", ".join(f"{purpose} {verdict} after {steps} steps" for purpose, verdict, steps, *_ in found)
        raise Failure(f"no second training came to its end: {told or 'there was none'}")
    _, _, steps, seconds, waited = made[0]
    return {
        "images_per_second": steps * row.batch / seconds,
        "waiting": (waited or 0) / seconds,
        "first_training_seconds": found[0][3],
        "train_seconds": seconds,
    }


def batch_of(row: Row, device: str) -> tuple[Any, Any]:
    """Pictures and targets that stay on the device."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(row.batch, 3, row.size, row.size, generator=generator).to(device)
    if row.task == "voc_seg":
        labels = torch.randint(
            gpu_networks.CLASSES, (row.batch, row.size // 4, row.size // 4), generator=generator
        )
        layout = torch.channels_last if row.layout == "channels_last" else torch.contiguous_format
        return pictures.contiguous(memory_format=layout), labels.to(device)
    targets = []
    for _ in range(row.batch):
        corners = torch.rand(4, 2, generator=generator) * row.size / 2
        sides = (0.2 + torch.rand(4, 2, generator=generator) * 0.3) * row.size
        labels = torch.randint(1, gpu_networks.CLASSES, (4,), generator=generator)
        targets.append(
            {"boxes": torch.cat([corners, corners + sides], 1).to(device), "labels": labels.to(device)}
        )
    return list(pictures), targets


def python_speed(check: Check, row: Row, network: torch.nn.Module) -> float:
    """Images a second of the same step in PyTorch: forward, loss, backward, update, reading of the loss."""
    pictures, targets = batch_of(row, check.device)
    parameters = [own for own in network.parameters() if own.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=5e-4)
    kind = check.device.split(":")[0]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=row.precision == "bf16"):
            if row.task == "coco_det":
                loss = sum(network(pictures, targets).values())
            else:
                loss = F.cross_entropy(network(pictures).float(), targets)
        loss.backward()
        if not math.isfinite(loss.item()):
            raise Failure("the loss in PyTorch is not finite")
        optimizer.step()

    def synchronised() -> float:
        if check.on_gpu:
            torch.cuda.synchronize(check.device)
        return time.perf_counter()

    for _ in range(1 if check.small else 5):
        step()
    began, made = synchronised(), 0
    while made < row.steps and (made == 0 or check.left() > 0):
        step()
        made += 1
    return made * row.batch / (synchronised() - began)


def python_side(check: Check, row: Row, found: Json) -> float:
    network = gpu_networks.built(row.network, row.size)
    found["elements"], found["elements_autoloss"] = (
        gpu_networks.elements(network),
        check.elements.get(row.network),
    )
    known = found["elements_autoloss"]
    if known is not None and known != found["elements"]:
        raise Failure(f"PyTorch's network has {found['elements']} numbers, autoloss's {known}")
    network = network.to(check.device)
    if row.layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        return python_speed(check, row, network)
    finally:
        del network
        if check.on_gpu:
            torch.cuda.empty_cache()


def speed(check: Check) -> Json:
    """Turn after turn while there is time, both sides of a row one after the other."""
    check.demand(10)
    torch.manual_seed(0)
    rows = [(row, {**row.told(), "turns": []}) for row in rows_of(check.small)]
    slowest = 0.0
    for turn in range(1 if check.small else 2):
        for row, found in rows:
            # A repetition that may not come to its end is no loss; a row without any result is.
            if "error" in found or (turn > 0 and check.left() < 1.5 * slowest):
                continue
            began = time.monotonic()
            try:
                check.demand(5)
                one = host_speed(check, row, turn)
                found["turns"].append(one)
                one["python_images_per_second"] = python_side(check, row, found)
                one["ratio"] = one["images_per_second"] / one["python_images_per_second"]
            except Exception as error:  # One row's failure is its own.
                if turn == 0:
                    found["error"] = sentence(error)
            slowest = max(slowest, time.monotonic() - began)
    for _, found in rows:
        for key in ("images_per_second", "python_images_per_second", "ratio", "waiting"):
            values = [turn[key] for turn in found["turns"] if key in turn]
            found[key] = statistics.median(values) if values else None
    told = [found for _, found in rows]
    result: Json = {"rows": told, "goal_ratio": GOAL_RATIO, "goal_waiting": GOAL_WAITING}
    return result if any(found["turns"] for found in told) else whole(result)


# Trainings beside one another.


def trainings_per_minute(check: Check, network: str, workers: int) -> Json:
    """From the end of the first `workers` trainings to that of the last: whoever starts up is then up."""
    count = 3 if workers == 1 else 2 * workers
    out = check.folder / f"workers-{network}-{workers}"
    arguments = [
        "compare",
        "ce",
        "--only",
        "--seeds",
        str(count),
        "--workers",
        str(workers),
        "--device",
        check.device,
        "--plugin",
        PLUGINS["voc_seg"],
        "--network",
        network,
        "--out",
        str(out),
    ]
    if check.small:
        arguments += settings({"proxy.budget.steps": 5, "proxy.budget.warmup_steps": 1})
    finished = host(check, arguments, 120)
    ends = [moment for moment, line in finished.log if re.search(r", seed \d+: .* waiting for data", line)]
    if len(ends) != count:
        raise Failure(f"{len(ends)} of {count} trainings told their end")
    seconds = ends[-1] - ends[workers - 1]
    return {
        "network": network,
        "workers": workers,
        "trainings": count,
        "seconds": finished.seconds,
        "per_minute": 60 * (count - workers) / max(seconds, 1e-9),
    }


def workers_section(check: Check) -> Json:
    check.demand(10)
    networks = ["unet_tiny"] if check.small else ["unet_tiny", "fpn_lite0_frozen"]
    rows: list[Json] = []
    # One and eight first: the goal is about these.
    for workers in (1, 2) if check.small else (1, 8, 4, 2):
        for network in networks:
            try:
                rows.append(trainings_per_minute(check, network, workers))
            except Exception as error:  # One row's failure is its own.
                rows.append({"network": network, "workers": workers, "error": sentence(error)})
    for row in rows:
        alone = next((one.get("per_minute") for one in rows if one["network"] == row["network"]), None)
        if alone and "per_minute" in row:
            row["times_one"] = row["per_minute"] / alone
    rows.sort(key=lambda row: (row["network"], row["workers"]))
    return whole({"rows": rows, "goal": GOAL_EIGHT_WORKERS})


# A search.


def search(check: Check) -> Json:
    # Start-up and the report come on top.
    seconds = min(20 if check.small else 120, int(check.left()) - 12)
    if seconds < 15:
        raise Failure("skipped: no time was left")
    arguments = [
        "search",
        "--plugin",
        PLUGINS["voc_seg"],
        "--device",
        check.device,
        "--max-seconds",
        str(seconds),
        "--no-final",
        "--json",
        "--out",
        str(check.folder / "search"),
    ]
    if check.small:
        arguments += ["--network", "unet_tiny"]
    finished = host(check, arguments, seconds + 60)
    told = json.loads(finished.stdout)
    return {
        "asked_seconds": seconds,
        "wall_seconds": finished.seconds,
        "explored": told["explored"],
        "trained": told["proxies"],
        "result": told,
    }


# All of it, and the table.


def sentence(error: BaseException) -> str:
    """One line of what happened."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, Failure) else f"{type(error).__name__}: {text}"[:300]


def whole(section: Json) -> Json:
    """A section of which no row has a result has failed."""
    rows = section["rows"]
    if rows and all("error" in row for row in rows):
        section["error"] = rows[0]["error"]
    return section


SECTIONS: dict[str, Callable[[Check], Json]] = {
    "machine": machine,
    "gradients": gradients,
    "speed": speed,
    "workers": workers_section,
    "search": search,
}


def number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def goal(met: bool | None) -> str:
    return {None: "–", True: "yes", False: "no"}[met]


def table(head: str, rows: list[list[str]]) -> Iterator[str]:
    titles = head.split("|")
    yield from ["", "| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    yield from ("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)


def markdown(report: Json) -> str:
    return "\n".join(line for part in PARTS for line in part(report)) + "\n"


def machine_part(report: Json) -> Iterator[str]:
    own = report["machine"]
    yield f"# autoloss on {own.get('gpu', report['device'])}"
    small = ", toy sizes, which measure nothing" if report["small"] else ""
    yield f"\n{report['began']}, {report['seconds']:.0f} s on {report['device']}{small}."
    keys = ("cores", "torch", "torchvision", "cuda", "cudnn", "python", "system")
    told = [f"{key} {own[key]}" for key in keys if key in own]
    yield "; ".join(told + own.get("nvidia_smi", [])) + "."
    for one in own.get("doctor", []):
        yield f"- doctor: {'ok' if one['works'] else 'FAIL'}: {one['what']}"
    if "doctor_error" in own:
        yield f"- doctor: {own['doctor_error']}"
    yield from failed(own)


def failed(section: Json) -> Iterator[str]:
    if "error" in section:
        yield f"\nNo result: {section['error']}"


def gradients_part(report: Json) -> Iterator[str]:
    own = report["gradients"]
    yield "\n## One step on the CPU and on the device\n"
    yield (
        "Single precision, TF32 off, the same start and batch: ‖device − CPU‖ / ‖CPU‖ of the gradient. All "
        f"parameters may differ by {TOLERANCE} or {TIMES_ROUNDING:.0f} times as much as with another memory format "
        "on the CPU (rounding, which grows through untrained normalisations), whichever is more, a detector's by "
        f"{SAMPLED_TOLERANCE}, since rounding decides ties between the regions that are sampled; decoder and head, "
        f"of a detector the proposals' head, by {TOLERANCE}."
    )
    yield from failed(own)
    if "equal_start" in own:
        drawn = {
            True: "A seed draws the same weights on both devices",
            False: "A seed draws other weights on each device",
        }
        unknown = f"Whether a seed draws the same weights on both devices is not known ({own['equal_start']})"
        yield f"\n{drawn.get(own['equal_start'], unknown)}; here both have the CPU's."
    rows = [
        [row["network"], *["–"] * 7, row["error"]]
        if "error" in row
        else [
            row["network"],
            number(row["relative"], ".1e"),
            number(row["rounding"], ".1e"),
            number(row["tolerance"], ".1e"),
            number(row["head"]["relative"], ".1e"),
            number(row["cosine"], ".7f"),
            number(row.get("running_statistics"), ".1e"),
            goal(row["within"]),
            "",
        ]
        for row in own.get("rows", [])
    ]
    yield from table("network|difference|rounding|allowed|head|cosine|running statistics|within|error", rows)


def speed_part(report: Json) -> Iterator[str]:
    own = report["speed"]
    yield "\n## Training beside PyTorch in Python, and waiting for data\n"
    yield (
        f"Images a second, medians over the turns; goals: ratio at least {GOAL_RATIO}, waiting below "
        f"{GOAL_WAITING:.0%}. autoloss reads, augments and copies its pictures meanwhile, PyTorch's batch is on the "
        "device. TF32 and cuDNN as PyTorch has them by default on both sides."
    )
    yield from failed(own)
    rows = []
    for row in own.get("rows", []):
        ratio, waiting = row["ratio"], row["waiting"]
        numbers = f"{row['precision']}, {row['memory_format']}"
        rows.append(
            [
                row["network"],
                f"{row['size']}²",
                str(row["batch"]),
                numbers,
                number(row["images_per_second"], ".1f"),
                number(row["python_images_per_second"], ".1f"),
                number(ratio),
                goal(None if ratio is None else ratio >= GOAL_RATIO),
                number(waiting, ".1%"),
                goal(None if waiting is None else waiting < GOAL_WAITING),
                str(len(row["turns"])),
                row.get("error", ""),
            ]
        )
    yield from table("network|size|batch|numbers|autoloss|PyTorch|ratio|goal|waiting|goal|turns|error", rows)


def workers_part(report: Json) -> Iterator[str]:
    own = report["workers"]
    yield "\n## Trainings with several workers on one device\n"
    yield (
        "Trainings a minute with their evaluation, from the end of as many as there are workers to that of the "
        f"last; goal: with 8 workers at least {GOAL_EIGHT_WORKERS:.0f} times as many as with one."
    )
    yield from failed(own)
    rows = []
    for row in own.get("rows", []):
        times = row.get("times_one")
        met = None if times is None or row["workers"] != 8 else times >= GOAL_EIGHT_WORKERS
        rows.append(
            [
                row["network"],
                str(row["workers"]),
                number(row.get("per_minute"), ".1f"),
                number(times, ".2f"),
                goal(met),
                row.get("error", ""),
            ]
        )
    yield from table("network|workers|a minute|times one|goal|error", rows)


def search_part(report: Json) -> Iterator[str]:
    own = report["search"]
    yield "\n## A search\n"
    yield from failed(own)
    if "explored" in own:
        yield (
            f"`--max-seconds {own['asked_seconds']}`: {own['explored']} losses explored, {own['trained']} trained "
            f"in {own['wall_seconds']:.0f} s."
        )


PARTS: list[Callable[[Json], Iterator[str]]] = [
    machine_part,
    gradients_part,
    speed_part,
    workers_part,
    search_part,
]


def write(report: Json, out: Path, check: Check) -> None:
    """Both files; after each section, so that what was measured is there whatever comes."""
    report["seconds"] = time.monotonic() - check.began
    (out / "gpu_check.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (out / "gpu_check.md").write_text(markdown(report))


def run(options: argparse.Namespace, folder: Path) -> Json:
    check = Check(options.program, options.device, options.small, 60 * options.minutes, folder)
    report: Json = {
        "schema": 1,
        "device": options.device,
        "small": options.small,
        "minutes": options.minutes,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    report.update({name: {"error": "not reached"} for name in SECTIONS})
    options.out.mkdir(parents=True, exist_ok=True)
    write(report, options.out, check)
    for name, section in SECTIONS.items():
        print(f"{time.monotonic() - check.began:5.0f} s: {name}", file=sys.stderr, flush=True)
        check.begin(name)
        try:
            report[name] = section(check)
        except Exception as error:  # One section's failure is its own.
            report[name] = {"error": sentence(error)}
        write(report, options.out, check)
    return report


def succeeded(report: Json) -> bool:
    """Whether every section has a result and no gradient is off; goals of speed may be missed."""
    off = any(not row.get("within", True) for row in report["gradients"].get("rows", []))
    return not off and all("error" not in report[name] for name in SECTIONS)


def main() -> None:
    package = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=package / "bin/autoloss-host", help="autoloss-host")
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu for a trial")
    parser.add_argument("--small", action="store_true", help="toy sizes, to try this on any machine")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all of it")
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), help="folder of gpu_check.json and gpu_check.md"
    )
    options = parser.parse_args()
    options.program, options.out = options.program.resolve(), options.out.resolve()
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        report = run(options, Path(folder))
    print(markdown(report))
    sys.exit(0 if succeeded(report) else 1)


if __name__ == "__main__":
    main()
