"""`scalr generate --engine spark`, the public function, days and plans."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.engines.spark.worlds import as_spark, events_of, in_order, local_events, skewed_tables

import scalr
from scalr.cli import main
from scalr.engines.spark.dry_run import dry_run
from scalr.engines.spark.generation import generate_on_spark
from scalr.foundation.config import RunSettings, Steps
from scalr.foundation.errors import ConfigError, OutputError
from scalr.logs.log_request import LogRequest
from scalr.runs.generating import write_generation_on_spark
from scalr.runs.manifest import check_outputs, read_manifest
from scalr.runs.requests import read_on_spark
from scalr.runs.running import run_on_spark

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]

UNALIGNED = {"seed": 3, "refine": {"align": None}}


@pytest.fixture(scope="module")
def world() -> tuple[pa.Table, pa.Table]:
    return skewed_tables(users=500, events=(6_000, 1_500))


@pytest.fixture
def folder(tmp_path: Path, world: tuple[pa.Table, pa.Table]) -> Path:
    """Write the world: the source as a folder that is partitioned by date."""
    source, target = world
    day = pa.array([f"{dt.datetime.fromtimestamp(t, dt.UTC):%Y-%m-%d}" for t in source["time"].to_pylist()])
    pq.write_to_dataset(source.append_column("dt", day), tmp_path / "source", partition_cols=["dt"])
    pq.write_table(target, tmp_path / "target.parquet")
    return tmp_path


def inputs_of(folder: Path) -> LogRequest:
    return LogRequest(str(folder / "source"), str(folder / "target.parquet"))


def test_a_run_writes_these_events_and_a_study_of_a_sample(session: Any, folder: Path, world: Any) -> None:
    asked = {"seed": 3, "study": {"seeds": 1, "arms": ["scalr"], "baseline_trials": 0}, "train": {"max_epochs": 2}}
    paths = {"source": str(folder / "source"), "target": str(folder / "target.parquet")}
    settings = RunSettings.parse({**asked, **paths})
    manifest = run_on_spark(session, settings, folder / "out", sample_events=400)
    written = in_order(pa.concat_tables(map(pq.read_table, (folder / "out" / "synthetic").glob("*.parquet"))))
    wanted, name = local_events(*world, Steps.parse({"seed": 3}))
    assert written.cast(wanted.schema).to_pydict() == wanted.to_pydict()
    assert manifest["generation_id"] == name
    assert 0 < manifest["study_share"] < 1
    assert list(manifest["evaluation"]["arms"]) == ["real_only", "scalr"]
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert f"The study saw {100 * manifest['study_share']:.0f}" in page
    with pytest.raises(ConfigError, match="judged on impressions"):
        run_on_spark(session, RunSettings.parse({**paths, "judged_by": "impressions"}), folder / "other")


def test_auto_writes_the_events_that_its_study_chose(session: Any, folder: Path, world: Any) -> None:
    asked = {
        "source": str(folder / "source"),
        "target": str(folder / "target.parquet"),
        "translate": {"translator": "auto", "rank": 6},
        "study": {"seeds": 1, "arms": ["scalr"], "baseline_trials": 0, "trials": 3, "gate": False},
        "train": {"max_epochs": 2},
    }
    manifest = run_on_spark(session, RunSettings.parse(asked), folder / "out", sample_events=400)
    made = {name: manifest["settings"][name] for name in ("translate", "sample", "refine")}
    assert made["translate"]["translator"] in ("cooccurrence", "conditioned", "factor")
    assert made["refine"]["duplicates"] == "merge"
    assert manifest["evaluation"]["choice"]["searches"]["scalr"]["rounds"]["law"]
    written = in_order(pa.concat_tables(map(pq.read_table, (folder / "out" / "synthetic").glob("*.parquet"))))
    wanted, name = local_events(*world, Steps.parse(made))
    assert written.cast(wanted.schema).to_pydict() == wanted.to_pydict()
    assert manifest["generation_id"] == name
    noisy = {**asked, "translate": {"translator": "auto", "privacy": {"epsilon": 1.0}}}
    with pytest.raises(ConfigError, match="noisy counts"):
        run_on_spark(session, RunSettings.parse(noisy), folder / "other")


def test_a_folder_by_date_becomes_a_folder_of_events(session: Any, folder: Path, world: Any) -> None:
    steps, out = Steps.parse({"seed": 3}), folder / "an out=1"
    wanted, name = local_events(*world, steps)
    manifest = write_generation_on_spark(session, inputs_of(folder), steps, out, settings={})
    found = in_order(pa.concat_tables(pq.ParquetFile(file).read() for file in (out / "synthetic").glob("*.parquet")))
    assert found.cast(wanted.schema).to_pydict() == wanted.to_pydict()
    assert manifest["generation_id"] == name
    assert manifest["synthetic_events"] == len(wanted)
    assert read_manifest(out)["outputs"]
    assert check_outputs(out, manifest) == []
    stages = manifest["stages"]
    assert stages["read"]["rows_in"] == sum(len(table) for table in world)
    assert stages["emit"]["rows_out"] == stages["cap"]["rows_out"] == len(wanted)
    reached = len(set(wanted["item"].to_pylist())) / len(set(world[1]["item"].to_pylist()))
    assert manifest["item_coverage"] == pytest.approx(reached, abs=1e-6)
    support = wanted["support"].to_numpy()
    shares = {str(n): np.count_nonzero(support < n) / len(support) for n in (3, 5)}
    assert manifest["privacy"] == {"k": 1, "share_below": shares}
    assert 0 < shares["3"] < shares["5"]


@pytest.mark.parametrize(
    "refine",
    [
        {"min_support": 2, "duplicates": "merge", "align": {"by": ["popularity"]}, "max_per_user": 5},
        {"duplicates": "best", "align": None},
        {"align": {"by": ["time"], "keep_share": 0.3}, "max_per_item": 9},
    ],
)
def test_stages_count_what_the_local_engine_counts(session: Any, folder: Path, world: Any, refine: Any) -> None:
    from scalr.engines.generation import generate_from
    from scalr.foundation.receipts import Receipt
    from scalr.logs.reading import read_logs

    steps = Steps.parse({"refine": refine})
    manifest = write_generation_on_spark(session, inputs_of(folder), steps, folder / "out", settings={})
    made = generate_from(read_logs(LogRequest(*world)), steps, Receipt("read", 0, 0))
    wanted = {one.stage: (one.rows_in, one.rows_out) for one in made.receipts if one.stage not in ("read", "fit")}
    found = {stage: (one["rows_in"], one["rows_out"]) for stage, one in manifest["stages"].items() if stage in wanted}
    assert found == wanted
    if refine["align"]:
        (one,), (other,) = (stages["align"]["marginals"] for stages in (manifest["stages"], {"align": details(made)}))
        for name in ("real", "before", "after", "total_variation_before", "total_variation_after"):
            assert one[name] == pytest.approx(other[name])


def details(made: Any) -> Any:
    return next(one.details for one in made.receipts if one.stage == "align")


def test_days_make_up_the_whole_and_a_day_run_twice_is_there_once(session: Any, folder: Path, world: Any) -> None:
    whole, _ = local_events(*world, Steps.parse(UNALIGNED))
    days = [dt.date(2020, 9, 13) + dt.timedelta(days=n) for n in (0, 1, 1)]
    inputs, out = inputs_of(folder), folder / "days"
    for day in days:
        write_generation_on_spark(session, inputs, Steps.parse(UNALIGNED), out, settings={}, day=day)
    found = in_order(pq.read_table(out / "synthetic").drop_columns(["day"]))
    wanted = whole.filter(pa.array([_day_of(t) in days for t in whole["time"].to_pylist()]))
    assert 0 < len(wanted) < len(whole)
    assert found.cast(wanted.schema).to_pydict() == wanted.to_pydict()
    names = sorted(one.name for one in out.iterdir())
    assert names == ["manifest-2020-09-13.json", "manifest-2020-09-14.json", "synthetic"]
    manifest = json.loads((out / names[1]).read_text())
    assert check_outputs(out, manifest) == []
    assert manifest["synthetic_events"] == sum(_day_of(t) == days[1] for t in whole["time"].to_pylist())
    (folder / "other").mkdir()
    (folder / "other" / "x").touch()
    with pytest.raises(OutputError, match="not a folder of days"):
        write_generation_on_spark(session, inputs, Steps(), folder / "other", settings={}, day=days[0])


def _day_of(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def test_the_public_function_gives_a_frame_of_spark(session: Any, world: Any) -> None:
    source, target = world
    wanted, name = local_events(source, target, Steps())
    made = scalr.generate({"feed": as_spark(session, source)}, as_spark(session, target))
    assert type(made.frame).__name__ == "DataFrame"
    wanted, name = local_events({"feed": source}, target, Steps())
    assert made.generation_id == name
    assert made.frame.where("is_synthetic").count() == len(wanted)
    assert in_order(made.table()).to_pydict() == wanted.to_pydict()
    made.release()


def test_a_plan_counts_and_warns(session: Any, folder: Path, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = world
    logs = read_on_spark(session, inputs_of(folder), Steps())
    found = dry_run(logs, Steps.parse({"refine": {"max_per_user": 3}}), partitions=40)
    history = {}
    for user, item in set(zip(target["user"].to_pylist(), target["item"].to_pylist(), strict=True)):
        history.setdefault(user, set()).add(item)
    users = source["user"].to_pylist()
    assert found.source_events == len(source)
    assert found.paths == sum(len(history.get(user, ())) for user in users)
    assert found.known_share == pytest.approx(sum(user in history for user in users) / len(users))
    assert found.rows == 4 * len(source)
    assert found.split_items >= 1
    assert found.parts > 40
    share = 100 * source["item"].to_pylist().count("s120") / len(source)
    assert any(f"'s120' has {share:.0f} %" in words for words in found.warnings)
    assert any("Duplicates and caps" in words for words in found.warnings)
    fitted = {"translator": "conditioned", "rank": 16}
    whole = dry_run(logs, Steps.parse({"translate": fitted}), partitions=40)
    assert whole.passes == found.passes + 1
    assert whole.shuffle_bytes == found.shuffle_bytes
    assert not any("Factors" in words for words in whole.warnings)
    monkeypatch.setattr("scalr.engines.spark.dry_run.MOST_BYTES", 1000)
    by_factors = dry_run(logs, Steps.parse({"translate": {**fitted, "fit_pairs": len(source) - 1}}), partitions=40)
    assert by_factors.passes == found.passes + 2
    assert by_factors.shuffle_bytes > found.shuffle_bytes
    held = by_factors.machine_bytes - found.machine_bytes
    assert held == pytest.approx(len(set(users)) * (12 + 4 * 16), rel=0.15)
    assert not any("Factors" in words for words in found.warnings)
    assert any(f"about {len(source) - 1:,} of up to {len(source):,}" in words for words in by_factors.warnings)
    assert any("of each machine: more than" in words for words in by_factors.warnings)
    made = generate_on_spark(as_spark(session, source), target, partitions=40)
    assert made.layout.parts == found.parts
    assert len(events_of(made)) <= found.rows


def test_the_command_refuses_what_does_not_go_together(capsys: Any, tmp_path: Path) -> None:
    logs = ["generate", "-s", "a.parquet", "-t", "b.parquet", "--out", str(tmp_path / "out")]
    cases = {
        "--engine spark --layout compact": "compact",
        "--engine spark --check-leaks": "leaks",
        "--engine spark --spark-conf x": "has no value",
        "--engine spark --day today": "the day is 'today'",
        "--spark-master local": "engine is 'local'",
        "--dry-run": "engine is 'local'",
    }
    for options, words in cases.items():
        assert main([*logs, *options.split()]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len(said.splitlines()) == 3
    assert not (tmp_path / "out").exists()
