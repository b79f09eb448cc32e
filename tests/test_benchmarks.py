"""The benchmark compares like with like: its baselines do what they say, and its figures are those of the process."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from benchmarks import baselines, generate, logs

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return logs.write_logs(logs.SIZES["tiny"], tmp_path_factory.mktemp("logs"))


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_a_baseline_draws_counted_pairs_with_their_exact_confidence(
    name: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    source, target = (pq.read_table(file).to_pylist() for file in files)
    baselines.BASELINES[name](*files, tmp_path / "out.parquet", 1)
    drawn = pq.read_table(tmp_path / "out.parquet").to_pylist()

    target_items = defaultdict(set)
    for row in target:
        target_items[row["user_id"]].add(row["item_id"])
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for user, item in {(row["user_id"], row["item_id"]) for row in source}:
        counts[item].update(target_items[user])
    for row in drawn:
        own = target_items[row["user_id"]]
        count = counts[row["source_item"]]
        support = count[row["item_id"]] - (row["item_id"] in own)
        assert row["support"] == support
        assert row["confidence"] == pytest.approx(support / (count.total() - len(own)), rel=1e-6)
    drawable = [row for row in source if counts[row["item_id"]].total() > len(target_items[row["user_id"]])]
    assert Counter((row["user_id"], row["source_item"], row["timestamp"]) for row in drawn) == Counter(
        (row["user_id"], row["item_id"], row["timestamp"]) for row in drawable
    )
    assert len({row["source_event"] for row in drawn}) == len(drawn)


def test_logs_are_the_same_every_time(files: tuple[Path, Path], tmp_path: Path) -> None:
    again = logs.write_logs(logs.SIZES["tiny"], tmp_path)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_measured_figures_are_those_of_the_process() -> None:
    run = generate.measure([sys.executable, "-c", "data = bytearray(300 * 2**20)"])
    assert 300 * 2**20 < run.peak_rss_bytes < 600 * 2**20
    assert run.cpu_seconds > 0
    assert run.wall_seconds > 0


def test_a_failing_command_is_shown_with_its_output() -> None:
    with pytest.raises(RuntimeError, match="a reason"):
        generate.measure([sys.executable, "-c", "raise SystemExit('a reason')"])


def test_the_comparison_runs_and_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures" / "generate.json"
    command = [sys.executable, "-m", "benchmarks.generate", "--size", "tiny", "--repeats", "1", "--out", str(out)]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    figures = json.loads(out.read_text())
    assert list(figures["median"]) == ["scalr", "duckdb", "polars"]
    assert all(len(runs) == 1 for runs in figures["runs"].values())
    assert [line.split()[0] for line in answer.stdout.splitlines()[2:5]] == ["scalr", "duckdb", "polars"]
