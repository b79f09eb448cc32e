"""Every command as a user runs it, on small logs."""

import json
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from scalr.cli.command_group import SUMMARIES, Subcommands
from scalr.foundation.config import ARMS

QUICK = ["--set", "study.seeds=1", "--set", "train.max_epochs=2", "--set", "study.arms=[scalr, top1]"]

FEW = ["--seeds", 1, "--baseline-trials", 0]


def synthetic(folder) -> pa.Table:
    return pa.concat_tables([pq.read_table(part) for part in sorted((folder / "synthetic").glob("*.parquet"))])


def test_generate_writes_events_report_and_manifest(scalr, logs, tmp_path):
    code, out, _ = scalr("generate", *logs, "--out", tmp_path / "run", "--draws", 2, "--seed", 7)
    assert code == 0
    assert "synthetic events reach" in out
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    events = synthetic(tmp_path / "run")
    assert manifest["synthetic_events"] == len(events) > 0
    assert 0 < manifest["item_coverage"] <= 1
    assert list(manifest["stages"]) == [
        "read",
        "fit",
        "sample",
        "drop_real",
        "filter",
        "deduplicate",
        "align",
        "cap",
        "emit",
    ]
    for stage in manifest["stages"].values():
        assert {"rows_in", "rows_out", "wall_seconds", "cpu_seconds"} <= set(stage)
    assert manifest["peak_rss_bytes"] > 0
    assert [one["role"] for one in manifest["inputs"]] == ["source", "target"]
    assert (tmp_path / "run/report.html").read_text().lower().startswith("<!doctype html>")
    assert events["draw"].to_numpy().max() == 1


def test_the_same_events_for_threads_row_order_and_format(scalr, logs, tmp_path, world):
    order = np.random.default_rng(0).permutation(len(world.source))
    pa.csv.write_csv(world.source.take(order), tmp_path / "source.csv")
    pq.write_table(
        world.target.take(np.random.default_rng(1).permutation(len(world.target))), tmp_path / "shuffled.parquet"
    )
    runs = {
        "one": [*logs, "--threads", 1],
        "two": [*logs, "--threads", 2],
        "other": ["--source", tmp_path / "source.csv", "--target", tmp_path / "shuffled.parquet"],
    }
    tables = []
    for name, arguments in runs.items():
        assert scalr("generate", *arguments, "--out", tmp_path / name, "--quiet")[0] == 0
        tables.append(synthetic(tmp_path / name))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_text_ids_that_look_like_numbers_draw_the_same_from_any_format(scalr, tmp_path, world):
    texts = {name: getattr(world, name) for name in ("source", "target")}
    for name, table in texts.items():
        for place, column in enumerate(("user", "item")):
            table = table.set_column(place, column, table[column].cast(pa.string()))
        pq.write_table(table, tmp_path / f"{name}.parquet")
        pa.csv.write_csv(table, tmp_path / f"{name}.csv")
    for ending in ("parquet", "csv"):
        logs = ["--source", tmp_path / f"source.{ending}", "--target", tmp_path / f"target.{ending}"]
        assert scalr("generate", *logs, "--out", tmp_path / ending, "--quiet")[0] == 0
    text, number = synthetic(tmp_path / "parquet"), synthetic(tmp_path / "csv")
    assert text["user"].cast(pa.int64()).equals(number["user"])
    assert text["item"].cast(pa.int64()).equals(number["item"])


def test_init_leaves_every_log_its_own_columns(scalr, logs, tmp_path, world):
    labelled = world.source.append_column("label", pa.array(np.arange(len(world.source)) % 2))
    pq.write_table(
        labelled.rename_columns(["household_id", "product_id", "time", "label"]), tmp_path / "source.parquet"
    )
    assert scalr("init", tmp_path / "scalr.yaml", *logs)[0] == 0
    by_name = ("--set", "translate.translator=cooccurrence")
    assert scalr("run", tmp_path / "scalr.yaml", "--out", tmp_path / "run", *QUICK, *by_name, "--quiet")[0] == 0
    assert scalr("generate", *logs, "--out", tmp_path / "same", "--quiet")[0] == 0
    assert synthetic(tmp_path / "run").equals(synthetic(tmp_path / "same"))


def test_a_run_generates_with_what_its_study_chose(scalr, logs, tmp_path):
    """`init` asks for the translator `auto`; the manifest then names what was chosen, which generates the same."""
    assert scalr("init", tmp_path / "scalr.yaml", *logs)[0] == 0
    trials = ("--trials-file", tmp_path / "trials.jsonl")
    assert scalr("run", tmp_path / "scalr.yaml", "--out", tmp_path / "run", *QUICK, *trials, "--quiet")[0] == 0
    settings = json.loads((tmp_path / "run" / "manifest.json").read_text())["settings"]
    assert settings["translate"]["translator"] in ("cooccurrence", "conditioned", "factor")
    assert settings["refine"]["duplicates"] == "merge"
    assert (tmp_path / "trials.jsonl").read_text().count("\n") > 20
    translate, sample = settings["translate"], settings["sample"]
    options = ["--translator", translate["translator"], "--draws", sample["draws_per_event"]]
    options += ["--temperature", sample["temperature"], "--duplicates", "merge", "--backoff", translate["backoff"]]
    options += [] if translate["window_days"] is None else ["--window-days", translate["window_days"]]
    assert scalr("generate", *logs, "--out", tmp_path / "same", *options, "--quiet")[0] == 0
    assert synthetic(tmp_path / "run").equals(synthetic(tmp_path / "same"))


def test_no_events_at_all_are_told(scalr, logs, tmp_path):
    code, out, err = scalr("generate", *logs, "--out", tmp_path / "run", "--min-support", 1000)
    assert code == 0
    assert "0 synthetic events" in out
    assert "No synthetic event was made" in err


def test_no_synthetic_pair_is_real(scalr, logs, tmp_path, world):
    scalr("generate", *logs, "--out", tmp_path / "run", "--quiet")
    events = synthetic(tmp_path / "run")
    real = set(zip(world.target["user"].to_pylist(), world.target["item"].to_pylist(), strict=True))
    assert not real & set(zip(events["user"].to_pylist(), events["item"].to_pylist(), strict=True))


def test_several_sources_are_told_apart(scalr, logs, tmp_path, world):
    half = len(world.source) // 2
    pq.write_table(world.source.slice(0, half), tmp_path / "a.parquet")
    pq.write_table(world.source.slice(half), tmp_path / "b.parquet")
    sources = ["--source", f"feed={tmp_path / 'a.parquet'}", "--source", f"video={tmp_path / 'b.parquet'}"]
    assert scalr("generate", *sources, *logs[2:], "--out", tmp_path / "run", "--quiet")[0] == 0
    assert set(synthetic(tmp_path / "run")["source_domain"].to_pylist()) == {"feed", "video"}


def test_study_writes_json_and_report(scalr, logs, tmp_path):
    code, out, _ = scalr(
        "study", *logs, "--out", tmp_path / "run", "--seeds", 2, "--hide-overlap", 0.5, "--arms", "top1,scalr"
    )
    assert code == 0
    content = json.loads((tmp_path / "run/study.json").read_text())
    assert list(content["arms"]) == ["real_only", "top1", "scalr"]
    assert content["protocol"]["seeds"] == [0, 1]
    assert "real_only" in out
    assert "report.html" in out
    page = (tmp_path / "run/report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_all_arms_are_those_that_exist(scalr, logs, tmp_path):
    options = ["--seeds", 1, "--arms", "all", "--rival-trials", 1, "--baseline-trials", 0, "--quiet"]
    assert scalr("study", *logs, "--out", tmp_path / "run", *options)[0] == 0
    content = json.loads((tmp_path / "run/study.json").read_text())
    assert set(content["arms"]) == set(ARMS)
    assert all(len(found["chosen"]) == len(found["tried"]) == 1 for found in content["rivals"].values())


def test_init_then_run_then_inspect(scalr, logs, tmp_path):
    config, out = tmp_path / "scalr.yaml", tmp_path / "run"
    assert scalr("init", config, *logs)[0] == 0
    code, printed, _ = scalr("run", config, "--out", out, *QUICK, "--json")
    assert code == 0
    assert json.loads(printed)["command"] == "run"
    assert {file.name for file in out.iterdir()} == {"synthetic", "evaluation.json", "report.html", "manifest.json"}
    assert list(json.loads((out / "evaluation.json").read_text())["arms"]) == ["real_only", "scalr", "top1"]
    code, printed, _ = scalr("inspect", out)
    assert code == 0
    assert "all 3 files are as they were written" in printed
    (out / "report.html").write_text("changed")
    code, printed, error = scalr("inspect", out)
    assert code == 2
    assert "files are as they were written" not in printed
    assert "not as they were written: report.html" in error


def test_inspect_shows_logs(scalr, logs):
    code, printed, _ = scalr("inspect", *logs, "--json")
    assert code == 0
    summary = json.loads(printed)
    assert [domain["role"] for domain in summary["domains"]] == ["source", "target"]
    assert summary["overlap_users"] > 100


def test_doctor_names_what_is_missing_and_how_to_get_it(scalr):
    code, printed, _ = scalr("doctor", "--json")
    assert code == 0
    findings = json.loads(printed)["findings"]
    assert {"name", "state", "value", "advice"} == set(findings[0])
    assert scalr("doctor")[0] == 0


@pytest.mark.parametrize("command", ["demo", "init", "run", "generate", "study", "inspect", "doctor"])
def test_help_teaches(scalr, command):
    code, printed, _ = scalr(command, "--help")
    assert code == 0
    assert "Example" in printed
    assert "--json" in printed
    assert "--quiet" in printed


def test_quiet_prints_nothing(scalr, logs, tmp_path):
    assert scalr("generate", *logs, "--out", tmp_path / "run", "--quiet") == (0, "", "")


def test_version(scalr):
    import scalr as package

    assert scalr("--version")[1].strip() == f"scalr {package.__version__}"


def test_sweeps_write_json_figures_and_report(scalr, logs, tmp_path):
    code, out, _ = scalr("study", *logs, "--out", tmp_path / "swept", "--sweep", "objective,volume", *FEW, "--json")
    assert code == 0
    content = json.loads((tmp_path / "swept/sweeps.json").read_text())
    assert json.loads(out) == content
    assert list(content["sweeps"]) == ["objective", "volume"]
    manifest = json.loads((tmp_path / "swept/manifest.json").read_text())
    files = {one["file"] for one in manifest["outputs"]}
    figures = {f"sweep-{name}.svg" for name in ("objective", "volume", "volume-curve", "volume-coverage")}
    assert files == {"report.html", "sweeps.json", *figures}
    assert manifest["settings"]["sweep"] == ["objective", "volume"]
    page = (tmp_path / "swept/report.html").read_text()
    for one in content["sweeps"].values():
        assert one["finding"].replace(" %", "\u00a0%") in page
        assert one["claim"].replace(" %", "\u00a0%") in page
    assert content["protocol"]["finding"].replace(" %", "\u00a0%") in page
    xml.etree.ElementTree.parse(tmp_path / "swept/sweep-volume.svg")


def test_the_curve_over_hidden_shares_is_one_command(scalr, logs, tmp_path):
    code, out, _ = scalr("study", *logs, "--out", tmp_path / "curve", "--sweep", "hide_overlap", *FEW)
    assert code == 0
    content = json.loads((tmp_path / "curve/sweeps.json").read_text())
    page = (tmp_path / "curve/report.html").read_text()
    for point in content["sweeps"]["hide_overlap"]["points"]:
        assert point["label"] in out
        assert point["label"].replace(" %", "\u00a0%") in page
    assert "By segment of users" in page
    assert "Evaluated users, mean over seeds" in page
    xml.etree.ElementTree.parse(tmp_path / "curve/sweep-hide_overlap-segments.svg")


def test_a_sweep_can_be_quiet_or_shown(scalr, logs, tmp_path):
    assert scalr("study", *logs, "--out", tmp_path / "a", "--sweep", "objective", *FEW, "--quiet") == (0, "", "")
    code, out, _ = scalr("study", *logs, "--out", tmp_path / "b", "--sweep", "objective", *FEW)
    assert code == 0
    assert "Sweep: objective" in out
    assert "thinned" in out


def test_an_unknown_sweep_names_the_nearest(scalr, logs, tmp_path):
    code, out, error = scalr("study", *logs, "--out", tmp_path / "x", "--sweep", "weight,alignement")
    assert (code, out) == (2, "")
    what, expected, fix = error.splitlines()
    assert what == "ConfigError: unknown sweep 'alignement'"
    assert "shrinkage, or all" in expected
    assert fix == "  fix: did you mean 'alignment'?"
    assert not (tmp_path / "x").exists()


def test_the_summaries_are_the_first_paragraphs_of_the_help():
    first = {name: command.help.split("\n\n")[0] for name, command in Subcommands().items()}
    assert first == SUMMARIES


def test_the_help_loads_no_subcommand():
    code = "import sys; from scalr.cli import main; main(['--help']); print({'pydantic', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
