"""A source log is the same in memory, in files, whole and in parts."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.worlds import small_tables

from scalr.foundation.errors import ConfigError, InputError
from scalr.foundation.memory import MIN_MEMORY, Room, format_bytes, parse_bytes, room, rows_within, threads_within
from scalr.logs.collecting import CollectedEvents, MemoryBuffer
from scalr.logs.event_log import EventLog, TimeUnit
from scalr.logs.log_request import LogRequest
from scalr.logs.ordering import PackedTimes
from scalr.logs.reading import read_logs, read_pair
from scalr.logs.stored import StoredPair, item_ranges

FIELDS = ("user", "item", "time", "label", "value", "weight")


def rich_tables() -> tuple[dict[str, pa.Table], pa.Table]:
    """Two sources, of which one has labels, values and weights; many events are equal in user, item and time."""
    (first, target), (second, _) = small_tables(), small_tables(seed=3, events=(300, 10))
    random = np.random.default_rng(5)
    n = len(first)
    first = first.set_column(2, "time", pa.array(random.integers(0, 3, n) + 1_600_000_000))
    first = first.append_column("label", pa.array(random.integers(0, 2, n)))
    first = first.append_column("value", pa.array(random.integers(0, 3, n) / 2))
    first = first.append_column("weight", pa.array(random.integers(1, 3, n)))
    return {"feed": first, "video": second}, target


def same(one: EventLog, other: EventLog) -> bool:
    """Equal arrays of equal types, or None in both."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in FIELDS]
    return all(
        (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
        for a, b in pairs
    )


@pytest.fixture(params=["rich", "plain"])
def tables(request: pytest.FixtureRequest) -> tuple[object, pa.Table]:
    return rich_tables() if request.param == "rich" else small_tables()


def test_a_log_in_files_is_the_log_in_memory(tables: tuple[object, pa.Table], tmp_path: Path) -> None:
    in_memory = read_logs(LogRequest(*tables))
    on_disk = read_logs(LogRequest(*tables), room=Room(memory_limit=1, folder=tmp_path / "events"))
    assert list((tmp_path / "events").iterdir()), "events must have gone to files"
    assert on_disk.source.nbytes == on_disk.source.item_start.nbytes < in_memory.source.nbytes
    assert same(on_disk.source.whole(), in_memory.source.whole())
    assert same(on_disk.target, in_memory.target)
    assert on_disk.source.item_start.tolist() == in_memory.source.item_start.tolist()
    assert on_disk.warnings == in_memory.warnings
    assert on_disk.source_counts.digest == in_memory.source_counts.digest


def test_parts_make_up_the_whole(tables: tuple[object, pa.Table]) -> None:
    stored = read_logs(LogRequest(*tables))
    whole, parts = stored.source.whole(), list(stored.source.parts(100))
    assert len(parts) > 3
    assert all(len(np.intersect1d(a.item, b.item)) == 0 for a, b in pairwise(parts))
    for name in FIELDS:
        if getattr(whole, name) is not None:
            np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


def test_source_events_stand_by_item_user_and_time(tables: tuple[object, pa.Table]) -> None:
    source = read_pair(*tables).source
    columns = [getattr(source, name) for name in ("weight", "value", "label", "time", "user", "item")]
    order = np.lexsort([column for column in columns if column is not None])
    np.testing.assert_array_equal(order, np.arange(len(source)))


def test_keys_of_a_range_are_those_of_the_whole(tables: tuple[object, pa.Table]) -> None:
    source = read_pair(*tables).source
    keys = source.keys()
    assert len(np.unique(keys)) == len(keys)
    for first, last in ((0, 0), (0, 7), (5, 40), (101, len(source))):
        np.testing.assert_array_equal(source.keys(first, last), keys[first:last])


def test_the_tally_of_parts_is_that_of_the_whole(tables: tuple[object, pa.Table]) -> None:
    stored = read_logs(LogRequest(*tables))
    again = StoredPair.from_pair(stored.load()).source_counts
    for name in ("events_of_user", "positives_of_user", "interactions_of_user"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stored.source_counts, name))
    assert (again.domains, again.digest, again.whole_weights) == (
        stored.source_counts.domains, stored.source_counts.digest, stored.source_counts.whole_weights,
    )  # fmt: skip
    real = stored.load().source.positives()
    assert stored.source_counts.interactions_of_user.sum() == len(
        set(zip(real.user.tolist(), real.item.tolist(), strict=True))
    )


def test_ranges_cover_all_items_that_have_events() -> None:
    start = np.array([0, 3, 3, 10, 11, 11, 12])
    assert list(item_ranges(start, 4)) == [(0, 2), (2, 3), (3, 6)]
    assert list(item_ranges(start, 100)) == [(0, 6)]
    assert list(item_ranges(np.zeros(1, np.int64), 4)) == []


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 << 30), ("0.5 GiB", 1 << 29), ("2000M", 2000 << 20), ("1073741824", 1 << 30)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "8 parsecs", "-8GB", "1e999GB", "1MB", "GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="the memory limit is"):
        parse_bytes(text)


def test_threads_are_as_many_as_fit_and_too_little_memory_is_refused() -> None:
    assert threads_within(Room(memory_limit=None, threads=64), 10) == 64
    assert threads_within(Room(memory_limit=1 << 50, threads=64), 10) == 64
    assert 1 <= threads_within(Room(memory_limit=2 << 30, threads=64), 10) < 20
    with pytest.raises(InputError, match=r"the memory limit is 1 MB, but reading the logs took [0-9.]+ .B"):
        threads_within(Room(memory_limit=1 << 20, threads=1), 10)
    assert format_bytes(MIN_MEMORY) == "512 MB"


def test_rows_are_compared_in_groups_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scalr.foundation.memory.peak_rss_bytes", lambda: 1 << 30)
    assert rows_within(Room(), 1 << 23) == rows_within(Room(memory_limit=1 << 50), 1 << 23) == 1 << 23
    assert rows_within(Room(memory_limit=(1 << 30) + 200 * 10**6), 1 << 23) == 10**6
    assert rows_within(Room(memory_limit=1 << 29), 1 << 23) == 1 << 16


def test_a_room_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail_in(folder: Path | None) -> None:
        assert folder is not None
        folder.mkdir()
        (folder / "events").write_text("x")
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"), room(tmp_path / "events", 1 << 30, 1) as given:
        fail_in(given.folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spread", [10, 2**31 - 1, 2**31 + 5, 2**40])
def test_times_take_four_bytes_while_they_fit_and_come_back_in_any_case(spread: int) -> None:
    """Batches in turn near and far: the first far one widens all."""
    random, buffer, batches = np.random.default_rng(0), MemoryBuffer(), []
    for reach in (5, spread, 7):
        batches.append(random.integers(-reach, reach, 40) + 10**9)
        batches[-1][:2] = 10**9 - reach, 10**9 + reach
        codes = np.zeros(40, np.int32)
        buffer.add({"user": codes, "item": codes, "time": batches[-1]}, lambda: np.zeros(40, np.uint64))
    codes = np.zeros(1, np.int32)
    times = CollectedEvents(buffer, codes, codes, TimeUnit("integer", "s", pa.int64())).times(buffer.take()["time"])
    assert isinstance(times, PackedTimes) == (spread < 2**31 - 10)
    np.testing.assert_array_equal(times[:120], np.concatenate(batches) * 1_000_000)
