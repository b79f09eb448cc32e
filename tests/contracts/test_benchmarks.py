"""The benchmarks' figures are those of the processes they name, and their targets are judged by them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from benchmarks import (
    baselines,
    floor,
    growth,
    kernel,
    logs,
    measuring,
    networks,
    run,
    spark,
    tables,
    targets,
    yardstick,
)

REPOSITORY = Path(__file__).parents[2]
TINY = logs.SIZES["tiny"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return logs.cached_logs("tiny", tmp_path_factory.mktemp("logs"))


def test_logs_are_the_same_every_time(files: tuple[Path, Path], tmp_path: Path) -> None:
    again = logs.write_logs(TINY, tmp_path)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_logs_are_made_once_and_again_for_another_law(files: tuple[Path, Path]) -> None:
    folder = files[0].parent
    made = files[0].stat().st_ino
    assert logs.cached_logs("tiny", folder.parent) == files
    assert files[0].stat().st_ino == made
    (folder / "law.json").write_text("{}")
    logs.cached_logs("tiny", folder.parent)
    assert files[0].stat().st_ino != made
    assert [file.name for file in folder.parent.iterdir()] == ["tiny"]


def test_logs_come_in_batches_of_ascending_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(logs, "BATCH_ROWS", 300)
    source, target = (pq.ParquetFile(file) for file in logs.write_logs(TINY, tmp_path))
    assert (source.metadata.num_rows, source.metadata.num_row_groups) == (2000, 7)
    assert (target.metadata.num_rows, target.metadata.num_row_groups) == (500, 2)
    times = source.read()["timestamp"].to_numpy()
    assert np.all(np.diff(times) >= 0)
    assert times[-1] - times[0] == pytest.approx(365 * 86_400, rel=0.01)


def test_ids_are_numbers_of_eight_digits_and_none_is_lost(files: tuple[Path, Path]) -> None:
    table = pq.read_table(files[0])
    ((users, items, _),) = logs.batches(TINY, "source")
    assert table["user_id"].to_pylist() == [f"user_{number:08d}" for number in users]
    assert table["item_id"].to_pylist() == [f"source_{number:08d}" for number in items]
    assert sorted(set(items)) == list(range(TINY.source_items))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_the_memory_of_sparks_workers_is_that_of_the_largest_below_one_process() -> None:
    hold = "import sys; data = b'x' * (int(sys.argv[1]) * 2**20); print('held', flush=True); input()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}, *sys.argv[1:]])"
    cases = [(hold, "400"), (start, "150", "pyspark.daemon"), (hold, "50", "pyspark.daemon")]
    begin = f"""
import subprocess, sys
held = [subprocess.Popen([sys.executable, "-c", *case], stdin=subprocess.PIPE) for case in {cases}]
input()
for process in held:
    process.communicate(b"\\n")
"""
    root = subprocess.Popen([sys.executable, "-c", begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert root.stdout is not None
    with spark.WorkerMemory(root.pid) as workers:
        assert [root.stdout.readline() for _ in cases] == ["held\n"] * len(cases)
        until = time.monotonic() + 60
        while workers.peak_bytes < 150 * 2**20 and time.monotonic() < until:
            time.sleep(0.05)
        root.communicate("\n")
    assert 150 * 2**20 <= workers.peak_bytes < 300 * 2**20


def test_measured_figures_are_those_of_the_process() -> None:
    taken, printed = measuring.measure_answer([sys.executable, "-c", "data = bytearray(300 * 2**20); print(42)"])
    assert 300 * 2**20 < taken.peak_rss_bytes < 600 * 2**20
    assert taken.cpu_seconds > 0
    assert taken.wall_seconds > 0
    assert printed == "42\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to another parent than the first process")
def test_processes_that_nobody_waits_for_count_too() -> None:
    orphan = "import time\ndata = bytearray(200 * 2**20)\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys, os; subprocess.Popen([sys.executable, '-c', {orphan!r}]); os._exit(0)"
    taken = measuring.measure([sys.executable, "-c", parent])
    assert taken.cpu_seconds > 0.5
    assert taken.peak_rss_bytes > 200 * 2**20


def test_a_failing_command_is_shown_with_its_output() -> None:
    with pytest.raises(measuring.CommandError, match="a reason"):
        measuring.measure([sys.executable, "-c", "raise SystemExit('a reason')"])


def test_a_slow_command_is_stopped_with_all_it_started() -> None:
    child = "import time; time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(measuring.DidNotFinishError, match="did not finish in 1 s"):
        measuring.measure([sys.executable, "-c", parent], limit_seconds=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_nothing_runs_on_when_the_benchmark_is_killed(tmp_path: Path) -> None:
    command = f"import os, time; open({str(tmp_path / 'id')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"import sys; from benchmarks.measuring import measure; measure([sys.executable, '-c', {command!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], cwd=REPOSITORY) as process:
        wait_for(lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text() != "")
        process.kill()
    wait_for(lambda: not Path("/proc", (tmp_path / "id").read_text()).exists())


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something holds, for ten seconds at most."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_yardstick_reads_less_at_random_than_in_order() -> None:
    found = yardstick.yardstick(1 << 20, 1 << 20)
    assert 0 < found["random_reads_per_second"] < found["sequential_bytes_per_second"] / 8


def test_codes_are_those_of_the_logs(files: tuple[Path, Path]) -> None:
    codes = kernel.codes_of(TINY)
    source, target = (pq.read_table(file).to_pylist() for file in files)
    events = sorted((int(row["item_id"][-8:]), int(row["user_id"][-8:])) for row in source)
    item = np.repeat(np.arange(TINY.source_items), np.diff(codes.item_start))
    assert list(zip(item.tolist(), codes.event_user.tolist(), strict=True)) == events
    pairs = sorted({(int(row["user_id"][-8:]), int(row["item_id"][-8:])) for row in target})
    user = np.repeat(np.arange(TINY.users), np.diff(codes.target_start))
    assert list(zip(user.tolist(), codes.target_item.tolist(), strict=True)) == pairs
    paths = [sum(user == other for item, other in set(events) if item == j for user, _ in pairs) for j in range(3)]
    assert codes.max_paths >= max(paths)
    assert codes.max_events == max(np.bincount(item))


def test_the_kernel_is_drawn_from_as_the_pipeline_does() -> None:
    codes = kernel.codes_of(TINY)
    sampler = kernel.Sampler(codes, 10, confidence=True)
    assert sampler.draw((0, 200)) == 2000
    user, item = codes.event_user, np.repeat(np.arange(TINY.source_items), np.diff(codes.item_start))
    for event in range(0, 200, 20):
        others = {other for other in user[item == item[event]] if other != user[event]}
        behind = [codes.target_item[codes.target_start[other] : codes.target_start[other + 1]] for other in others]
        count = np.bincount(np.concatenate(behind), minlength=TINY.target_items)
        drawn = sampler.item[10 * event : 10 * event + 10]
        assert sampler.support[10 * event : 10 * event + 10].tolist() == count[drawn].tolist()
        assert sampler.confidence[10 * event : 10 * event + 10] == pytest.approx(count[drawn] / count.sum())


def test_the_kernel_has_a_speed_for_one_and_two_threads() -> None:
    speeds = kernel.kernel_speeds(TINY, draws=10, least=1)
    assert list(speeds) == ["draws, 1 thread", "confidence, 1 thread", "draws, 2 threads", "confidence, 2 threads"]
    assert all(figure > 0 for speed in speeds.values() for figure in speed.values())


@pytest.mark.parametrize("way", floor.READERS)
def test_a_reader_reads_all_rows(way: str, files: tuple[Path, Path]) -> None:
    assert floor.read(way, files)["rows"] == TINY.source_events + TINY.target_events


@pytest.mark.parametrize("way", floor.WRITERS)
def test_a_writer_writes_the_same_rows(way: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = tmp_path / "synthetic", tmp_path / "again"
    folder.mkdir()
    out.mkdir()
    baselines.load("duckdb")(*files, folder / "part.parquet", 2, 1)
    figures = floor.write_into(way, folder, out)
    before, after = pq.read_table(folder), pq.read_table(out)
    assert figures["rows"] == len(before)
    assert after.cast(before.schema).equals(before)
    assert pq.ParquetFile(next(out.iterdir())).metadata.row_group(0).column(0).compression == "ZSTD"


def test_what_sampling_keeps_is_the_source_and_the_histories(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """4 bytes per user and time of a source event, 8 per item's start; 4 per interaction, 8 per user's start twice."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.stages", *map(str, files)], cwd=REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    source, target = (pq.read_table(file) for file in files)
    users = len({*source["user_id"].to_pylist(), *target["user_id"].to_pylist()})
    interactions = len(set(zip(target["user_id"].to_pylist(), target["item_id"].to_pylist(), strict=True)))
    items = len(set(source["item_id"].to_pylist()))
    expected = 8 * len(source) + 8 * (items + 1) + 4 * interactions + 8 * (users + 1) + 8  # and one empty start
    assert json.loads(answer.stdout) == {"translation_bytes": expected}


def test_a_run_writes_its_figures(tmp_path: Path) -> None:
    parts = ["yardstick", "scalr", "floor", "duckdb", "scipy"]
    out = tmp_path / "figures" / "tiny.json"
    command = [sys.executable, "-m", "benchmarks.run", "--size", "tiny", "--repeats", "1", "--out", str(out)]
    answer = subprocess.run([*command, "--only", *parts], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    figures = json.loads(out.read_text())
    assert figures["failures"] == {}
    assert list(figures["processes"]) == ["scalr", "duckdb", "scipy"]
    assert all(len(process["runs"]) == 1 for process in figures["processes"].values())
    scalr = figures["processes"]["scalr"]["median"]
    assert sum(figures["stages"]["scalr"].values()) == pytest.approx(scalr["cpu_seconds"], abs=0.01)
    assert figures["floor"]["fastest"]["read"] in floor.READERS
    assert figures["floor"]["fastest"]["write"] in floor.WRITERS
    assert "scalr-compact" not in answer.stdout
    assert max(map(len, answer.stdout.splitlines()[:-1])) <= 100
    assert not list((REPOSITORY / "benchmark-output").glob("work-*"))


def test_what_fails_or_is_missing_stands_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    record = run.Record()
    assert record.take("broken", [sys.executable, "-c", "raise SystemExit('a reason')"]) is None
    assert record.take("slow", [sys.executable, "-c", "import time; time.sleep(60)"], 0.5) is None
    assert record.take("slow", ["never started"]) is None
    assert record.failures == {"broken": "failed: a reason", "slow": "did not finish in 0.5 s"}
    monkeypatch.setattr(run.baselines, "installed", lambda name: False)
    figures = run.collect("tiny", ["spark"], 1, 10, REPOSITORY / "benchmark-output", 10)
    assert "spark  not installed" in tables.processes(figures)


def made_up(size: str, **changes: Any) -> dict[str, Any]:
    """Return figures in which scalr takes 10 CPU s for 100 million events, and Polars 100."""

    def process(cpu: float, peak: float) -> dict[str, Any]:
        return {"median": {"cpu_seconds": cpu, "wall_seconds": cpu, "peak_rss_bytes": peak}, "runs": []}

    return {
        "size": size,
        "events": {"source_events": 10_000_000, "target_events": 2_000_000},
        "draws": 10,
        "repeats": 1,
        "machine": {"cores": 2, "memory_bytes": 24e9, "processor": "made up"},
        "yardstick": {"random_reads_per_second": 100e6, "sequential_bytes_per_second": 10e9},
        "kernel": {
            "draws, 1 thread": {"draws_per_cpu_second": 80e6, "draws_per_second": 80e6},
            "confidence, 1 thread": {"draws_per_cpu_second": 40e6, "draws_per_second": 40e6},
        },
        "processes": {
            "scalr": process(10, 600e6),
            "polars": process(100, 10e9),
            "polars-codes": process(75, 5e9),
            "spark": process(1000, 3e9),
        },
        "failures": {"duckdb": "did not finish in 300 s"},
        "stages": {"scalr": {"read": 2.0, "sample": 1.5, "emit": 6.0, "other": 0.5}},
        "floor": {"read": {}, "write": {}, "cpu_seconds": 5.0},
        "synthetic_events": {"scalr": 100_000_000},
        "translation_bytes": 110_000_000,
        "idle_rss_bytes": 250e6,
        "answers": {"sparse-dot-topn": [{"top": 100, "lost_probability": 0.25}]},
        **changes,
    }


def test_targets_are_judged_by_the_figures_of_their_size() -> None:
    larger = made_up("C", synthetic_events={"scalr": 50_000_000})
    verdicts = {row[0]: row[1:] for row in (target.row({"B": made_up("B"), "C": larger}) for target in targets.TARGETS)}
    assert verdicts == {
        "B: leave-one-out sampling, of the random reads, 1 thread": ("≥ 0.75", "0.80", "yes"),
        "H: leave-one-out sampling, of the random reads, 1 thread": ("≥ 0.5", "–", "not measured"),
        "C: leave-one-out sampling, of the random reads, 1 thread": ("≥ 0.3", "0.80", "yes"),
        "B: sampling with exact confidence, of the random reads, 1 thread": ("≥ 0.5", "0.40", "no"),
        "H: sampling with exact confidence, of the random reads, 1 thread": ("≥ 0.22", "–", "not measured"),
        "B: sampling and confidence, share of CPU end to end": ("≤ 0.2", "0.15", "yes"),
        "A: CPU of polars / of scalr": ("≥ 6x", "–", "not measured"),
        "A: CPU of duckdb / of scalr": ("≥ 12x", "–", "not measured"),
        "A: CPU of spark / of scalr": ("≥ 40x", "–", "not measured"),
        "B: CPU of polars / of scalr": ("≥ 8x", "7.50x", "no"),
        "B: peak memory of scalr / of polars": ("≤ 0.1", "0.12", "no"),
        "B: CPU of scalr / of only reading and writing the same": ("≤ 1.8x", "2.00x", "no"),
        "B: peak memory": ("≤ 700 MB", "600.00 MB", "yes"),
        "C: peak memory": ("≤ 8 GB", "0.60 GB", "yes"),
        "C: CPU per synthetic event / that at B": ("≤ 1.6x", "2.00x", "no"),
        "B: memory of the translation per source event": ("≤ 12 B", "11.00 B", "yes"),
        "B: peak memory, minus that of tiny logs, per source event": ("≤ 40 B", "35.00 B", "yes"),
    }


def test_a_baseline_that_did_not_finish_is_no_figure() -> None:
    sizes = {"A": made_up("A")}
    verdicts = {target.what: target.reached(sizes) for target in targets.TARGETS}
    assert verdicts["A: CPU of duckdb / of scalr"] == "not measured"
    assert verdicts["A: CPU of spark / of scalr"] == "yes"


def test_tables_fit_a_terminal_and_say_what_failed() -> None:
    figures = made_up("B")
    text = tables.everything(figures, {"B": figures})
    assert max(map(len, text.splitlines())) <= 100
    assert "duckdb        did not finish in 300 s" in text.splitlines() or "duckdb  did not finish in 300 s" in text
    assert "sparse-dot-topn keeps the 100 largest counts of an item: 25 % of the probability is lost" in text


def test_medians_keep_the_shape_of_the_answers() -> None:
    assert run.medians([{"a": 1.0, "b": {"c": 5.0}}, {"a": 3.0, "b": {"c": 1.0}}, {"a": 2.0, "b": {"c": 9.0}}]) == {
        "a": 2.0,
        "b": {"c": 5.0},
    }


def test_growth_is_drawn_and_told() -> None:
    sizes = []
    for size, events in (("A", 1_000_000), ("B", 10_000_000)):
        sizes.append(made_up(size, events={"source_events": events, "target_events": events // 5}))
    found = growth.points(sizes)
    assert [(point["name"], point["size"]) for point in found] == [
        ("scalr", "A"), ("scalr", "B"), ("Polars", "A"), ("Polars", "B"),
    ]  # fmt: skip
    svg = growth.to_svg(growth.chart(found))
    assert all(word in svg for word in ("<svg", "CPU seconds", "peak memory, GB", ">scalr<", ">Polars<"))
    assert growth.table(found, 10).splitlines()[1].split() == [
        "scalr",
        "A",
        "1,000,000",
        "10.0",
        "1.000",
        "0.60",
        "600",
    ]


def test_networks_have_a_speed_beside_that_of_their_module() -> None:
    pytest.importorskip("torch_rechub", reason="needs the extra 'torch'")
    examples = networks.examples_of_size(50, 40, 600)
    found = networks.speeds("two_tower", examples, 32, least=0.05)
    assert found["share"] == pytest.approx(found["ours"] / found["bare"])
    assert min(found.values()) > 0
