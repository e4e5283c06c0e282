"""Reads event files as TensorBoard does and holds them against the report's data.

report_events.py EVENTS EMPTY DATA
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder):
    accumulator = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def only(folder):
    """The folder of the only run there."""
    (run,) = Path(folder).iterdir()
    return str(run)


def main():
    events, empty, data = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    found = read(only(events))
    summary, curve = data["summary"], data["curves"][0]
    scores = found.Scalars("search/score")
    assert len(scores) == curve["scored"], (len(scores), curve["scored"])
    steps = [score.step for score in scores]
    assert steps == sorted(steps)
    for event, (explored, elapsed, score) in zip(scores, curve["scores"]):
        assert event.step == explored and abs(event.value - score) < 1e-6
        assert abs(event.wall_time - summary["created"] - elapsed) < 1e-3
    best = [(event.step, event.value) for event in found.Scalars("search/best")]
    assert all(a[1] < b[1] for a, b in zip(best, best[1:]))
    assert best[-1][1] == max(score.value for score in scores)
    assert len(found.Scalars("search/running median")) == len(scores)
    pace = found.Scalars("pace/explored per second")
    assert pace and all(event.value > 0 for event in pace)
    lost = sum(count for step in data["funnel"] for _, count in step["ended"])
    counts = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"] if tag.startswith("verdicts/")}
    last = {tag.removeprefix("verdicts/"): events[-1].value for tag, events in counts.items()}
    assert last["scored"] == summary["scored"], last
    assert sum(last.values()) == summary["explored"] == lost + summary["scored"], last
    for of_one in counts.values():
        values = [event.value for event in of_one]
        assert values == sorted(values)
        assert of_one[-1].step <= summary["explored"]
    texts = found.Tensors("best loss")
    assert found.SummaryMetadata("best loss").plugin_data.plugin_name == "text"
    text = texts[0].tensor_proto.string_val[0].decode()
    assert f"candidate {summary['best_candidate']}" in text
    chosen = next(loss for loss in data["best"] if loss["chosen"])
    assert chosen["formulas"][0]["text"] in text, text
    assert read(only(empty)).Tags()["scalars"] == []


main()
