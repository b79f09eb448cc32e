"""Logs of impressions on the command line: negatives beside synthetic events, and the study of conversions."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.studies.test_impressions import impression_world

from scalr.logs.simulation import simulate

QUICK = ["--draws", 1, "--seeds", 2, "--translator", "cooccurrence", "--align", "none"]


@pytest.fixture
def impressions(tmp_path):
    """Write logs whose target has labels; return the command's options for them."""
    world = simulate(n_users=200, n_source_items=40, n_target_items=30, events_per_user=(15.0, 30.0), seed=3)
    random = np.random.default_rng(0)
    label = pa.array((random.random(len(world.target)) < 0.05).astype(np.int8))
    place = pa.array([f"slot {item % 4}" for item in world.target["item"].to_pylist()])
    target = world.target.append_column("label", label).append_column("slot", place)
    items = pa.table({"item": range(1_000_000, 1_000_030), "category": [f"c{i % 5}" for i in range(30)]})
    for name, table in (("source", world.source), ("target", target), ("items", items)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return [part for name in ("source", "target", "items") for part in (f"--{name}", tmp_path / f"{name}.parquet")]


def test_generate_writes_negatives_at_the_rate_of_the_log(scalr, impressions, tmp_path):
    out = tmp_path / "run"
    code, printed, error = scalr("generate", *impressions, "--out", out, "--negatives", "rate")
    assert code == 0, error
    assert "negative rows beside them" in printed
    manifest = json.loads((out / "manifest.json").read_text())
    rows = pa.concat_tables([pq.read_table(part) for part in sorted((out / "synthetic").glob("*.parquet"))])
    label, weight = rows["label"].to_numpy(), rows["weight"].to_numpy().astype(float)
    rate = np.mean(pq.read_table(tmp_path / "target.parquet")["label"].to_numpy())
    assert manifest["synthetic_events"] == label.sum() > 0
    assert manifest["synthetic_negatives"] == (label == 0).sum()
    assert manifest["stages"]["negatives"]["rows_out"] == len(rows)
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(rate, rel=1e-3)
    assert rows["slot"].null_count == 0
    assert scalr("inspect", out)[0] == 0


def test_run_writes_negatives_too(scalr, impressions, tmp_path):
    assert scalr("init", tmp_path / "run.yaml", *impressions)[0] == 0
    settings = [
        "negatives.kind=rate", "translate.translator=cooccurrence", "study.seeds=1", "study.arms=[scalr]",
        "study.baseline_trials=0", "train.max_epochs=2", "evaluate.top=5", "judged_by=events",
    ]  # fmt: skip
    given = [part for one in settings for part in ("--set", one)]
    code, _, error = scalr("run", tmp_path / "run.yaml", "--out", tmp_path / "run", *given)
    assert code == 0, error
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["synthetic_negatives"] > manifest["synthetic_events"]
    assert json.loads((tmp_path / "run/evaluation.json").read_text())["schema"] == "scalr.study/1"


def test_run_judges_a_log_of_impressions_on_impressions(scalr, impressions, tmp_path):
    pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")
    assert scalr("init", tmp_path / "run.yaml", *impressions)[0] == 0
    settings = [
        "negatives.kind=rate", "study.seeds=1", "study.choosing_seeds=1", "conversions.arms=[scalr]",
        "conversions.masses=[1.0]", "conversions.penalties=[3.0]",
    ]  # fmt: skip
    given = [part for one in settings for part in ("--set", one)]
    code, printed, error = scalr("run", tmp_path / "run.yaml", "--out", tmp_path / "run", *given)
    assert code == 0, error
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    study = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert study["schema"] == "scalr.conversions/1"
    assert [one["segment"] for one in study["choice"]["gate"]] == ["warm", "cold"]  # the translator was `auto`
    assert manifest["settings"]["translate"]["translator"] == min(
        study["choice"]["translators"], key=study["choice"]["translators"].get
    )
    assert manifest["synthetic_negatives"] > manifest["synthetic_events"] > 0
    assert "Calibration before and after" in (tmp_path / "run/report.html").read_text()
    assert 'id="funnel"' in (tmp_path / "run/events.html").read_text()
    assert "gate" in " ".join(printed.split())
    assert scalr("inspect", tmp_path / "run")[0] == 0


def test_the_gate_can_be_asked_for_and_left_out(scalr, impressions, tmp_path):
    pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")
    few = ["--draws", 1, "--seeds", 1, "--translator", "cooccurrence", "--arms", "scalr"]
    for option, segments in (("--gate", 2), ("--no-gate", 0)):
        out = tmp_path / option
        assert scalr("study", "--conversions", *impressions, *few, option, "--out", out)[0] == 0
        assert len(json.loads((out / "study.json").read_text())["choice"]["gate"]) == segments


def test_a_log_without_labels_is_refused_in_three_lines(scalr, impressions, tmp_path):
    for command in (["generate", "--negatives", "rate"], ["study", "--conversions"]):
        code, _, error = scalr(*command, *impressions, "--label", "", "--out", tmp_path / "no")
        assert code == 2
        assert "no label column" in error
        assert len(error.strip().splitlines()) == 3
    assert not (tmp_path / "no").exists()


def test_study_of_conversions(scalr, tmp_path):
    pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")
    pair, _ = impression_world(impressions=6000)
    for name, log in (("source", pair.source), ("target", pair.target)):
        columns = {"user": log.users.ids.take(pa.array(log.user)), "item": log.items.ids.take(pa.array(log.item))}
        columns["time"] = pa.array(log.time // 1_000_000)
        if log.label is not None:
            columns["label"] = pa.array(log.label)
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    logs = ["--source", tmp_path / "source.parquet", "--target", tmp_path / "target.parquet"]
    out = tmp_path / "evidence"
    code, printed, error = scalr(
        "study", "--conversions", *logs, *QUICK, "--arms", "shuffled_users,scalr", "--out", out
    )
    assert code == 0, error
    study = json.loads((out / "study.json").read_text())
    assert study["schema"] == "scalr.conversions/1"
    assert list(study["segments"]) == ["real_only", "shuffled_users", "scalr"]
    assert {"raw", "analytic", "isotonic"} == set(study["calibration"]["segments"]["scalr"])
    for words in ("Calibration ratio", "isotonic", "real impressions", "validation period"):
        assert words in printed
    page = (out / "report.html").read_text()
    assert "Calibration before and after" in page
    assert "<script" not in page
    assert scalr("inspect", out)[0] == 0


def test_arms_that_there_are_not_are_refused(scalr, impressions, tmp_path):
    code, _, error = scalr("study", "--conversions", *impressions, "--arms", "pooled", "--out", tmp_path / "no")
    assert code == 2
    assert "conversions.arms" in error
    code, _, error = scalr("study", "--conversions", *impressions, "--sweep", "volume", "--out", tmp_path / "no")
    assert code == 2
    assert "--sweep" in error
