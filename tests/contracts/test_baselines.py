"""The benchmarks compare like with like: every way without scalr does what it says."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from benchmarks import baselines, logs

REPOSITORY = Path(__file__).parents[2]
DRAWS = 3
ALL = [pytest.param(name, marks=pytest.mark.slow if name == "spark" else ()) for name in baselines.NAMES]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return logs.write_logs(logs.SIZES["tiny"], tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def source(files: tuple[Path, Path]) -> list[dict[str, Any]]:
    return pq.read_table(files[0]).to_pylist()


@pytest.fixture(scope="module")
def histories(files: tuple[Path, Path]) -> dict[str, set[str]]:
    """Every user's target items."""
    items = defaultdict(set)
    for row in pq.read_table(files[1]).to_pylist():
        items[row["user_id"]].add(row["item_id"])
    return items


@pytest.fixture(scope="module")
def counts(source: list[dict[str, Any]], histories: dict[str, set[str]]) -> dict[str, Counter[str]]:
    """Users behind every pair of a source item and a target item."""
    behind: dict[str, Counter[str]] = defaultdict(Counter)
    for user, item in {(row["user_id"], row["item_id"]) for row in source}:
        behind[item].update(histories[user])
    return behind


@pytest.fixture(scope="module", params=ALL)
def drawn(
    request: pytest.FixtureRequest, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    if not baselines.installed(request.param):
        pytest.skip(f"the package of {request.param} is not installed; `make bench` installs it")
    out = tmp_path_factory.mktemp("drawn") / "out.parquet"
    if request.param == "spark":  # a JVM, and warnings of its own
        command = [sys.executable, "-m", "benchmarks.baselines", "spark", *map(str, (*files, out))]
        brief = {**os.environ, "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}
        subprocess.run([*command, "--draws", str(DRAWS)], cwd=REPOSITORY, check=True, capture_output=True, env=brief)
    else:
        baselines.load(request.param)(*files, out, DRAWS, 1)
    table = pq.read_table(out)
    assert tuple(table.column_names) == baselines.COLUMNS
    return table.to_pylist()


def test_confidence_and_support_leave_the_user_out(
    drawn: list[dict[str, Any]], counts: dict[str, Counter[str]], histories: dict[str, set[str]]
) -> None:
    for row in drawn:
        own, count = histories[row["user_id"]], counts[row["source_item"]]
        support = count[row["item_id"]] - (row["item_id"] in own)
        assert row["support"] == support
        assert row["confidence"] == pytest.approx(support / (count.total() - len(own)), rel=1e-6)


def test_every_event_that_other_users_can_speak_for_has_its_draws(
    drawn: list[dict[str, Any]],
    source: list[dict[str, Any]],
    counts: dict[str, Counter[str]],
    histories: dict[str, set[str]],
) -> None:
    drawable = [row for row in source if counts[row["item_id"]].total() > len(histories[row["user_id"]])]
    wanted = Counter((row["user_id"], row["item_id"], row["timestamp"]) for row in drawable for _ in range(DRAWS))
    assert Counter((row["user_id"], row["source_item"], row["timestamp"]) for row in drawn) == wanted
    assert Counter((row["source_event"], row["draw"]) for row in drawn) == Counter(
        (event, draw) for event in {row["source_event"] for row in drawn} for draw in range(DRAWS)
    )
    alike = Counter((row["source_event"], row["item_id"]) for row in drawn)
    assert sum(n == DRAWS for n in alike.values()) < len(drawn) / DRAWS / 2, "an event's draws are one draw, repeated"


def test_items_are_drawn_in_proportion_to_their_counts(
    drawn: list[dict[str, Any]], counts: dict[str, Counter[str]]
) -> None:
    """The mean probability of what was drawn is within four standard errors: a false alarm in 16,000."""
    difference = variance = 0.0
    for row in drawn:
        count = counts[row["source_item"]]
        shares = [n / count.total() for n in count.values()]
        mean = sum(share**2 for share in shares)
        difference += count[row["item_id"]] / count.total() - mean
        variance += sum(share**3 for share in shares) - mean**2
    assert abs(difference) < 4 * variance**0.5


def test_the_same_in_every_row(drawn: list[dict[str, Any]]) -> None:
    same = {"is_synthetic": True, "weight": 1.0, "source_domain": "source", "generation_id": baselines.GENERATION_ID}
    assert all(row[name] == value for row in drawn for name, value in same.items())


def test_columns_are_those_of_scalr(files: tuple[Path, Path]) -> None:
    import scalr
    from scalr.foundation.config import Steps

    written = scalr.generate(*files, steps=Steps.parse({"sample": {"draws_per_event": 1}})).table()
    assert tuple(written.column_names) == baselines.COLUMNS


def test_the_largest_counts_alone_lose_what_they_say(
    files: tuple[Path, Path],
    source: list[dict[str, Any]],
    counts: dict[str, Counter[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topn = pytest.importorskip("benchmarks.baselines.sparse_dot_topn", exc_type=ImportError)
    topn.generate(*files, tmp_path / "out.parquet", DRAWS, 1, top=5)
    lost = []
    for row in source:
        count = counts[row["item_id"]]
        if count.total():
            lost.append(1 - sum(n for _, n in count.most_common(5)) / count.total())
    assert json.loads(capsys.readouterr().out) == {
        "top": 5,
        "lost_probability": pytest.approx(sum(lost) / len(lost), abs=1e-4),
    }
