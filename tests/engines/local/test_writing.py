"""Writing part by part: any threads and memory, facts for reports, progress; see tests/contracts/test_engines.py."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from tests.engines.ways import PLAIN, SETTINGS, digests, plain_tables, written
from tests.logs.test_stored import rich_tables
from tests.worlds import small_tables

from scalr.engines.generation import generate_from
from scalr.engines.local import passes as narrowing
from scalr.engines.local.writing import write_events
from scalr.foundation.config import Steps
from scalr.foundation.memory import Room
from scalr.foundation.receipts import Receipt
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.report.contents import contents_of
from scalr.synthesis import parts as stream
from scalr.synthesis.identity import generation_id, generation_name
from scalr.synthesis.refining import refine


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts, chunks and groups, so that every seam is crossed."""
    monkeypatch.setattr(stream, "PART_DRAWS", 300)
    monkeypatch.setattr(stream, "BUFFER_ROWS", 64)
    monkeypatch.setattr(narrowing, "COMPARED_ROWS", 500)


@pytest.fixture(params=["plain logs", "rich logs"])
def tables(request: pytest.FixtureRequest) -> tuple[object, pa.Table]:
    if request.param == "rich logs":
        return rich_tables()
    return plain_tables()


@pytest.mark.usefixtures("small_parts")
def test_the_report_shows_the_same_of_written_events_and_of_those_in_memory(tmp_path: Path) -> None:
    stored, steps = (
        read_logs(LogRequest(*small_tables(seed=2))),
        Steps.parse({"refine": {"align": {"by": ["popularity"]}}}),
    )
    wanted = contents_of(generate_from(stored, steps, Receipt("read", 0, 0)).events)
    done = write_events(stored, steps, tmp_path, threads=2)
    found = contents_of(done.facts, pair=stored, receipts=done.receipts)
    for name in ("title", "subtitle", "pair", "coverage", "curves", "examples"):
        assert getattr(found, name) == getattr(wanted, name)
    assert found.examples
    for one, other in zip(found.alignment, wanted.alignment, strict=True):
        assert one.keys() == other.keys()
        assert one["after"] == pytest.approx(other["after"])
        assert one["wasserstein_after"] == pytest.approx(other["wasserstein_after"])


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("name", ["plain", "all", "capped histories", "back-off"])
def test_files_are_the_same_for_any_threads_and_memory(
    name: str, tables: tuple[object, pa.Table], tmp_path: Path
) -> None:
    source, target = tables
    steps = Steps.parse({"seed": 4, **SETTINGS[name]})
    cases = {
        "one thread": (source, target, 1, None),
        "three threads": (source, target, 3, None),
        "in files": (source, target, 2, Room(memory_limit=1, folder=tmp_path / ".events")),
    }
    found = []
    for case, (one, other, threads, room) in cases.items():
        (tmp_path / case).mkdir()
        write_events(read_logs(LogRequest(one, other), room=room), steps, tmp_path / case, threads=threads)
        found.append(digests(tmp_path / case))
    assert found[0]
    assert all(one == found[0] for one in found)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("strategy", ["sample", "topk"])
def test_back_off_to_categories_is_the_same_in_memory_and_in_files(strategy: str, tmp_path: Path) -> None:
    source, target = small_tables(seed=2, events=(60, 60), target_items=30)
    items = pa.table({"item": [0, 1, 2, 3, 4, 5], "category": ["a", "a", "b", "b", None, "c"]})
    steps = Steps.parse(
        {**PLAIN, "translate": {"backoff": 4, "history_cap": 2}, "sample": {"strategy": strategy, "temperature": 0.6}}
    )
    wanted = generate_from(read_logs(LogRequest(source, target, items=items)), steps, Receipt("read", 0, 0)).table()
    room = Room(memory_limit=1, folder=tmp_path / ".events")
    done = write_events(read_logs(LogRequest(source, target, items=items), room=room), steps, tmp_path, threads=2)
    assert written(tmp_path).to_pydict() == wanted.to_pydict()
    assert done.receipts[0].details["categories"] == 3
    elsewhere = generate_from(read_logs(LogRequest(source, target)), steps, Receipt("read", 0, 0)).table()
    assert elsewhere["item"].to_pylist() != wanted["item"].to_pylist()


def test_a_setting_that_is_off_leaves_the_generation_id_alone() -> None:
    stored = read_logs(LogRequest(*small_tables()))
    ids = [generation_name(stored, Steps.parse({"translate": {"backoff": backoff}})) for backoff in (0, 1, 2)]
    assert len(set(ids)) == 3
    known = Steps().model_dump(mode="json", include={"translate", "sample", "refine"})
    assert known["translate"].pop("backoff") == 0
    assert known["translate"].pop("privacy")["k"] == 1
    assert ids[0] == generation_id(stored, json.dumps(known, separators=(",", ":")), Steps().seed)


@pytest.mark.usefixtures("small_parts")
def test_progress_counts_every_event_of_every_pass(tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.stages: list[list[int]] = []

        def stage(self, name: str, total: int | None = None, unit: str = "events"):
            self.stages.append([total or 0, 0])
            place = self.stages[-1]

            def advance(done: int) -> None:
                place[1] += done

            return advance

        def note(self, text: str) -> None:
            raise AssertionError(text)

    stored, board = read_logs(LogRequest(*small_tables())), Listener()
    write_events(stored, Steps.parse(SETTINGS["all"]), tmp_path, board=board)
    assert [total for total, _ in board.stages].count(0) == 1  # fitting, which nobody can count
    assert all(total == done for total, done in board.stages if total)


def test_empty_parts_are_left_out_but_never_all(tmp_path: Path) -> None:
    stored = read_logs(LogRequest(*small_tables()))
    steps = Steps.parse(SETTINGS["nothing"])
    done = write_events(stored, steps, tmp_path)
    assert [file.name for file in (tmp_path / "synthetic").iterdir()] == ["part-00000.parquet"]
    assert written(tmp_path).schema.names[-1] == "generation_id"
    assert done.receipts[-1].details["parts"] == 0
    assert len(refine(generate_from(stored, steps, Receipt("read", 0, 0)).events)) == 0
