"""The contract of all engines: the events that `scalr.generate` makes in memory, on every setting.

There are three ways: in memory, part by part (the local engine) and on Spark, where PySpark and Java are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engines.spark.worlds import impression_tables, in_order, shuffled
from tests.engines.ways import PLAIN, SETTINGS, Outcome, in_memory, on_spark, part_by_part, plain_tables
from tests.logs.test_stored import rich_tables

from scalr.engines.local import passes
from scalr.engines.spark.fitting.fitting import ON_SPARK
from scalr.foundation.arrays import Mask
from scalr.foundation.config import Steps
from scalr.synthesis import parts, stages
from scalr.synthesis.events import DrawnEvents

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")

Make = Callable[[Any, Any, Steps], Outcome]
NEGATIVES: dict[str, Any] = {"negatives": {"kind": "rate", "per_positive": 2}, "refine": {"min_support": 2}}
CASES: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    # each setting in one of two worlds, in turn: a setting costs Spark seconds
    **{
        name: (settings, (plain_tables, rich_tables)[place % 2])
        for place, (name, settings) in enumerate(SETTINGS.items())
    },
    "all, several domains": (SETTINGS["all"], rich_tables),
    "all, one domain": (SETTINGS["all"], plain_tables),
    "negatives": (NEGATIVES, impression_tables),
    "negatives, capped": (
        {**NEGATIVES, "refine": {"max_per_user": 4, "duplicates": "best"}},
        impression_tables,
    ),
}


def runs_on_spark(settings: dict[str, Any]) -> bool:
    return settings.get("translate", {}).get("translator", "cooccurrence") in ON_SPARK


WAYS = ("in memory", "part by part", pytest.param("Spark", marks=pytest.mark.slow))
OTHER_WAYS = WAYS[1:]


@pytest.fixture
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    """Return the way of the test's parameter; the local engine has many parts and chunks, to cross all seams."""
    monkeypatch.setattr(parts, "PART_DRAWS", 300)
    monkeypatch.setattr(parts, "BUFFER_ROWS", 64)
    monkeypatch.setattr(passes, "COMPARED_ROWS", 500)
    if request.param == "Spark":
        session = request.getfixturevalue("session")
        return lambda source, target, steps: on_spark(session, source, target, steps)
    if request.param == "in memory":
        return in_memory
    n_runs = iter(range(100))

    def write(source: Any, target: Any, steps: Steps) -> Outcome:
        folder = tmp_path / f"run-{next(n_runs)}"
        folder.mkdir()
        return part_by_part(source, target, steps, folder)

    return write


def assert_same(found: Outcome, wanted: Outcome) -> None:
    """Compare ids, the rows of each stage, and events row by row and column by column."""
    assert found.generation_id == wanted.generation_id
    assert found.stages == wanted.stages
    assert found.table.column_names == wanted.table.column_names
    assert in_order(found.table).to_pydict() == in_order(wanted.table).to_pydict()


@pytest.mark.parametrize("make", OTHER_WAYS, indirect=True)
@pytest.mark.parametrize("case", [name for name, (settings, _) in CASES.items() if runs_on_spark(settings)])
def test_events_and_stages_are_those_in_memory(case: str, make: Make) -> None:
    settings, tables = CASES[case]
    steps, (source, target) = Steps.parse({"seed": 4, **settings}), tables()
    wanted = in_memory(source, target, steps)
    assert_same(make(shuffled(source), target, steps), wanted)
    assert (len(wanted.table) == 0) == (case == "nothing")


@pytest.mark.parametrize("layout", ["target", "compact"])
@pytest.mark.parametrize("case", ["plain", "merge", "all", "nothing"])
def test_written_tables_have_the_types_and_the_order_of_those_in_memory(case: str, layout: str, tmp_path: Path) -> None:
    steps, tables = Steps.parse({"seed": 4, **SETTINGS[case]}), rich_tables()
    wanted, found = in_memory(*tables, steps, layout).table, part_by_part(*tables, steps, tmp_path, layout).table
    assert found.schema.types == wanted.schema.types
    assert found.to_pydict() == wanted.to_pydict()


@pytest.mark.parametrize("make", WAYS, indirect=True)
@pytest.mark.parametrize("case", ["plain", "all"])
def test_the_seed_decides_all_bytes_and_the_order_of_rows_none(case: str, make: Make) -> None:
    source, target = plain_tables()
    steps = Steps.parse({"seed": 4, **SETTINGS[case]})
    first = make(source, target, steps)
    assert make(source, target, steps).digest == first.digest
    by_item = [table.sort_by([("item", "descending")]) for table in (source, target)]
    assert make(*by_item, steps).digest == first.digest
    assert make(shuffled(source, 1), shuffled(target, 2), steps).digest == first.digest
    other = make(source, target, Steps.parse({"seed": 5, **SETTINGS[case]}))
    assert other.table.to_pydict() != first.table.to_pydict()


@dataclass(frozen=True)
class EvenItems:
    """A rule that no release has: keeps target items with even codes."""

    def keep(self, events: DrawnEvents) -> Mask:
        even: Mask = np.asarray(events.item) % 2 == 0
        return even


@pytest.mark.parametrize("make", WAYS, indirect=True)
@pytest.mark.parametrize("case", ["plain", "best", "all"])
def test_a_stage_that_is_added_to_the_list_is_carried_out(
    case: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more rule for each row after the filter, and one that compares rows at the end, next to the cap."""
    listed = stages.refining_stages

    def longer(settings: Any, real: Any, seed: int) -> tuple[stages.RefiningStage, ...]:
        first = listed(settings, real, seed)
        even = stages.RefiningStage("even", (EvenItems(),))
        return (*first[:2], even, *first[2:], stages.RefiningStage("two each", (stages.Cap("user", 2, seed),)))

    for module in ("synthesis.refining", "engines.local.writing", "engines.spark.generation"):
        monkeypatch.setattr(f"scalr.{module}.refining_stages", longer)
    source, target = plain_tables()
    steps = Steps.parse({"seed": 4, **SETTINGS[case]})
    wanted = in_memory(source, target, steps)
    assert list(wanted.stages)[3] == "even"
    assert list(wanted.stages)[-1] == "two each"
    assert wanted.stages["even"][0] > wanted.stages["even"][1] > 0
    assert len(set(wanted.table["item"].to_pylist())) <= len(set(target["item"].to_pylist())) // 2 + 1
    assert max(count["counts"].as_py() for count in wanted.table["user"].value_counts()) == 2
    assert_same(make(source, target, steps), wanted)


def test_plain_settings_leave_alignment_out() -> None:
    """The stages of a run without alignment, in their order; each begins with the rows of the one before."""
    found = in_memory(*plain_tables(), Steps.parse(PLAIN)).stages
    assert list(found) == ["sample", "drop_real", "filter", "deduplicate", "cap"]
    rows = list(found.values())
    assert [before for before, _ in rows[1:]] == [after for _, after in rows[:-1]]
