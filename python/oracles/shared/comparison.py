"""What the oracles' `--check` has in common."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path


def check_wanted(description: str) -> bool:
    """Whether the command line asks to compare instead of to write."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed fixture, write nothing"
    )
    return parser.parse_args().check


def largest_difference(
    left, right, ignored: Collection[str] = (), relative: bool = False, path: str = ""
) -> tuple[float, str]:
    """The largest difference of two numbers at the same place, and the place; infinite where the structure
    differs. Members named in `ignored` are not compared; with `relative`, numbers over 1 by their share."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        pairs = [(left[key], right[key], f"{path}/{key}") for key in left if key not in ignored]
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = [(a, b, f"{path}/{index}") for index, (a, b) in enumerate(zip(left, right))]
    elif isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return abs(left - right) / (max(1.0, abs(left)) if relative else 1.0), path
    else:
        return (0.0, path) if left == right else (float("inf"), path)
    return max(
        (largest_difference(a, b, ignored, relative, place) for a, b, place in pairs), default=(0.0, path)
    )


def compare(
    built: dict,
    fixture: Path,
    what: str,
    tolerance: float,
    ignored: Collection[str] = (),
    relative: bool = False,
) -> None:
    """Prints the largest difference from the committed fixture and ends the program."""
    difference, place = largest_difference(built, json.loads(fixture.read_text()), ignored, relative)
    print(f"{what}, largest difference {difference:.3g} at {place or '/'}")
    sys.exit(0 if difference <= tolerance else "the committed fixture is not what this script computes")


def compare_or_write(
    check: bool, built: dict, fixture: Path, what: str, tolerance: float, indent: int | None = None
) -> None:
    """Compares with the committed fixture and ends the program, or writes it, numbers over 1 by their share; as
    compact as JSON goes without an indent."""
    if check:
        compare(built, fixture, what, tolerance, relative=True)
    fixture.parent.mkdir(parents=True, exist_ok=True)
    separators = (",", ":") if indent is None else None
    fixture.write_text(json.dumps(built, indent=indent, separators=separators) + "\n")
    print(f"{what}, {fixture.stat().st_size} bytes in {fixture}")
