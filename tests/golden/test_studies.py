"""Golden studies: small studies of both kinds give the figures of earlier versions, whoever changes what.

Each `*.json` beside this file is the content of `study.json` or `sweeps.json`, floats with 12 significant digits.
Structure, names and counts must be equal, floats equal to a relative 1e-9, since other processors may round
differently. If figures change on purpose, state so in the change log and write the files again with
`python -m tests.golden.test_studies`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scalr.foundation.config import Steps
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair
from scalr.logs.simulation import FIRST_INSTANT, simulate
from scalr.studies.events import study
from scalr.studies.impressions import conversion_study
from scalr.studies.sweeps.sweeping import sweep

RELATIVE, ABSOLUTE = 1e-9, 1e-12
AUTO = {
    "split": {"hide_overlap": 0.4},
    "translate": {"translator": "auto"},
    "train": {"dimensions": 4, "max_epochs": 6},
    "study": {
        "seeds": 2,
        "choosing_seeds": 2,
        "trials": 3,
        "baseline_trials": 3,
        "rival_trials": 2,
        "arms": ["shuffled_users", "oversampled_real", "top1", "item_knn", "scalr"],
    },
}
GATED = {
    "split": {"by": "random", "hide_overlap": 0.4},
    "train": {"dimensions": 4, "max_epochs": 6},
    "study": {
        "seeds": 1,
        "choosing_seeds": 1,
        "baseline_trials": 0,
        "gate": True,
        "arms": ["shuffled_users", "top1", "scalr"],
    },
}
IMPRESSIONS = {
    "sample": {"draws_per_event": 1},
    "study": {"seeds": 2, "choosing_seeds": 2, "gate": True},
    "conversions": {"masses": [0.3, 1.0], "penalties": [1.0, 3.0], "most_events": 1000},
}


def events() -> Pair:
    """Return a world in which the gate of `GATED` opens for warm users only."""
    return simulate(n_users=200, n_source_items=30, n_target_items=24, events_per_user=(30.0, 4.0), seed=2).pair


def impressions(n_impressions: int = 5000) -> Pair:
    """Return a world in which an item of the user's group converts with 8 %, another item with 0.8 %."""
    world = simulate(
        n_users=150, n_source_items=30, n_target_items=24, events_per_user=(12.0, 1.0), n_groups=6, focus=0.9, seed=0
    )
    random = np.random.default_rng(0)
    chance = np.where(world.target_taste[:, None] == np.arange(24)[None, :] % 6, 0.08, 0.008)
    user, item = random.integers(0, 150, n_impressions), random.integers(0, 24, n_impressions)
    label = (random.random(n_impressions) < chance[user, item]).astype(np.int8)
    time = FIRST_INSTANT + random.integers(0, 86_400 * 100, n_impressions)
    target = pa.table({"user": user, "item": item + 1_000_000, "time": time, "label": label})
    items = pa.table({"item": np.arange(24) + 1_000_000, "category": [f"group {i % 6}" for i in range(24)]})
    return read_pair(world.source, target, items=items)


def of_impressions(translator: str, objective: str) -> dict[str, Any]:
    changes = {"translate.translator": translator, "train.objective": objective}
    return conversion_study(impressions(), Steps.parse(IMPRESSIONS).changed(changes), threads=2).to_json()


STUDIES: dict[str, Callable[[], dict[str, Any]]] = {
    "events_auto": lambda: study(events(), Steps.parse(AUTO), threads=2).to_json(),
    "events_gated": lambda: study(events(), Steps.parse(GATED), threads=1).to_json(),
    "impressions_auxiliary": lambda: of_impressions("auto", "auxiliary"),
    "impressions_joint": lambda: of_impressions("cooccurrence", "joint"),
    "sweep": lambda: sweep(events(), Steps.parse(GATED), ["sampling", "overlap", "hide_overlap"], threads=2).to_json(),
}


def rounded(value: Any) -> Any:
    """Return plain values with 12 significant digits for each float."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


def differences(expected: Any, actual: Any, place: str = "") -> list[str]:
    """Return where two contents differ: names and their order, lengths, types, values."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if list(expected) != list(actual):
            return [f"{place}: names {list(actual)} instead of {list(expected)}"]
        return [line for name in expected for line in differences(expected[name], actual[name], f"{place}.{name}")]
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return [f"{place}: {len(actual)} values instead of {len(expected)}"]
        return [
            line
            for number, parts in enumerate(zip(expected, actual, strict=True))
            for line in differences(*parts, f"{place}[{number}]")
        ]
    is_equal = type(expected) is type(actual) and (
        expected == pytest.approx(actual, rel=RELATIVE, abs=ABSOLUTE)
        if isinstance(expected, float)
        else expected == actual
    )
    return [] if is_equal else [f"{place}: {actual!r} instead of {expected!r}"]


def file_of(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.json")


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_those_of_earlier_versions(name: str) -> None:
    if name.startswith("impressions"):
        pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")
    expected, actual = json.loads(file_of(name).read_text()), json.loads(json.dumps(STUDIES[name]()))
    assert differences(expected, actual)[:5] == []


def test_a_changed_figure_is_a_difference() -> None:
    content = {"arms": {"scalr": [0.5, None, 3]}}
    assert differences(content, {"arms": {"scalr": [0.5 + 1e-12, None, 3]}}) == []
    assert differences(content, {"arms": {"scalr": [0.5 + 1e-8, None, 3]}}) == [
        ".arms.scalr[0]: 0.50000001 instead of 0.5"
    ]
    assert differences(content, {"arms": {"scalr": [0.5, None]}}) == [".arms.scalr: 2 values instead of 3"]
    assert differences(content, {"arms": {"scalr": [0.5, 0.0, 3.0]}})[0] == ".arms.scalr[1]: 0.0 instead of None"
    assert len(differences(content, {"arms": {"scalr": [0.5, 0.0, 3.0]}})) == 2
    assert differences(content, {"arms": {}}) == [".arms: names [] instead of ['scalr']"]


if __name__ == "__main__":
    for name, run in STUDIES.items():
        file_of(name).write_text(json.dumps(rounded(run()), separators=(",", ":")) + "\n")
        print(file_of(name), file_of(name).stat().st_size)
