"""Counts are those of a plain recount; weak numbers are named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scalr.logs.reading import read_pair
from scalr.logs.schema import Columns
from scalr.logs.stored import StoredPair
from scalr.logs.summary import count_lookalikes, summarise, weak_points

DATA = Path(__file__).parents[3] / "shared" / "data"
NOON = 1_600_000_000


def log(users: list[int] | list[str], items: list[int], **more: list[float]) -> pa.Table:
    return pa.table({"user": users, "item": items, "time": [NOON + place for place in range(len(users))], **more})


def test_counts_of_a_log_small_enough_to_count_by_hand() -> None:
    source = log([1, 1, 1, 2, 3], [7, 7, 8, 7, 9], label=[1, 1, 1, 0, 1])
    summary = summarise(read_pair(source, log([1, 4, 4], [5, 5, 6])))
    feed, target = summary.domains
    assert (feed.users, feed.items, feed.events, feed.interactions) == (3, 3, 5, 3)  # (1,7) (1,8) (3,9)
    assert feed.repeated_share == pytest.approx(1 / 4)  # 4 positive events, 3 of them new
    assert feed.density == pytest.approx(3 / 9)
    assert feed.positive_share == pytest.approx(4 / 5)
    assert feed.time_range == ("2020-09-13 12:26:40", "2020-09-13 12:26:44")
    assert (target.name, target.role, target.positive_share) == ("target", "target", None)
    assert target.density == pytest.approx(3 / 4)
    assert summary.overlap_users == 1
    assert summary.overlap_share_of_target == pytest.approx(1 / 2)
    assert summary.overlap_share_of_source == pytest.approx(1 / 2)  # user 2 has no positive event
    assert summary.target_users_without_source == 1


def test_counts_of_random_logs_are_those_of_a_plain_recount() -> None:
    draw = np.random.default_rng(5)
    tables = [log(draw.integers(0, 30, n).tolist(), draw.integers(0, 12, n).tolist()) for n in (300, 100)]
    for table, found in zip(tables, summarise(read_pair(*tables)).domains, strict=True):
        rows = list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
        assert found.interactions == len(set(rows))
        assert found.users == len({user for user, _ in rows})
        assert found.repeated_share == pytest.approx(1 - len(set(rows)) / len(rows))


def test_every_source_domain_has_its_own_line() -> None:
    pair = read_pair({"feed": log([1, 2], [7, 8]), "video": log([1], [7])}, log([1], [5]))
    assert [(one.name, one.role, one.events) for one in summarise(pair).domains] == [
        ("feed", "source", 2),
        ("video", "source", 1),
        ("target", "target", 1),
    ]
    assert summarise(read_pair({"feed": log([1], [7])}, log([1], [5]))).domains[0].name == "feed"


def test_json_has_plain_values() -> None:
    content = summarise(read_pair(log([1], [7]), log([1], [5]))).to_json()
    assert content["overlap_users"] == 1
    assert content["domains"][0]["time_range"] == ("2020-09-13 12:26:40", "2020-09-13 12:26:40")


def strong(n: int = 2_000) -> tuple[pa.Table, pa.Table]:
    """Two logs with nothing to warn of."""
    users = [place % 200 for place in range(n)]
    items = [place % 37 for place in range(n)]
    return log(users, items), log(users, [item + 100 for item in items])


def warnings_of(source: pa.Table, target: pa.Table, columns: Columns | None = None) -> str:
    pair = read_pair(source, target, columns=columns)
    assert pair.warnings == weak_points(StoredPair.from_pair(pair)) == summarise(pair).warnings
    return " | ".join(pair.warnings)


def test_strong_logs_have_no_warnings() -> None:
    assert warnings_of(*strong()) == ""


def test_few_overlap_users_are_named() -> None:
    source, target = strong()
    assert "Only 99 users are active in both" in warnings_of(source.filter(pa.compute.less(source["user"], 99)), target)
    many = log([*range(100), *range(1_000, 3_900)], [1] * 3_000)
    assert "Only 100 of 3,000 target users (3.3 %)" in warnings_of(
        source.filter(pa.compute.less(source["user"], 100)), many
    )


def test_items_in_both_domains_are_named() -> None:
    source, target = strong()
    same = warnings_of(source, source)
    assert "37 item ids are in both domains" in same
    assert "for 100 % of their target events the user has the same item in the source" in same
    found = warnings_of(source, pa.concat_tables([target, log([1], [0])]))  # user 1 has no source event on item 0
    assert "1 item id is in both domains (such as 0): if they are the same things" in found


def test_users_that_look_alike_are_counted() -> None:
    source, target = strong()
    names = [f"U{user:03d}" for user in source["user"].to_pylist()]
    theirs = [name if name != "U007" else "u007" for name in names]
    found = warnings_of(source.set_column(0, "user", pa.array(names)), target.set_column(0, "user", pa.array(theirs)))
    assert "1 target user has no source events, but a source id that differs only in case" in found


@pytest.mark.parametrize(
    ("source_id", "target_id", "expected"),
    [("7", "007", 1), ("7", "7.0", 1), (" a", "a", 1), ("A", "a", 1), ("70", "7", 0), ("0", "00", 1), ("a", "b", 0)],
)
def test_what_looks_alike(source_id: str, target_id: str, expected: int) -> None:
    pair = read_pair(log(["x", source_id], [1, 2]), log(["x", target_id], [3, 4]))
    assert count_lookalikes(StoredPair.from_pair(pair).source_counts, pair.target) == expected


def test_few_events_single_events_and_no_time_are_named() -> None:
    source, target = strong()
    assert "The target has only 999 events" in warnings_of(source, target.slice(0, 999))
    assert "200 of 200 source users have a single source event" in warnings_of(source.slice(0, 200), target)
    assert "The logs have no time" in warnings_of(source, target, Columns(time=""))


@pytest.mark.data
def test_real_pairs_have_the_numbers_of_their_readme() -> None:
    folder = DATA / "completejourney_grocery_drug"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    summary = summarise(read_pair(folder / "source.parquet", folder / "target.parquet"))
    source, target = summary.domains
    assert (source.users, source.items, source.interactions) == (2_458, 29_528, 541_807)
    assert (target.users, target.items, target.events) == (2_403, 22_799, 155_046)
    assert round(100 * source.density, 3) == 0.746
    assert round(100 * target.density, 3) == 0.210
    assert summary.warnings == ()
