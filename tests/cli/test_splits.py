"""Commands on logs whose time column orders the events of each user only."""

import json

import pyarrow.parquet as pq
import pytest
from tests.evaluation.test_own_split import own_tables

QUICK = ["--seeds", 1, "--baseline-trials", 0, "--hide-overlap", 0.3]
NO_TIME = "This is not a split by time"


@pytest.fixture
def own_logs(tmp_path):
    for name, table in zip(("source", "target"), own_tables(users=80), strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return ["--source", tmp_path / "source.parquet", "--target", tmp_path / "target.parquet"]


@pytest.mark.parametrize(("options", "by"), [((), "per_user"), (("--split", "time"), "time")])
def test_terminal_study_and_report_say_that_it_is_no_split_by_time(scalr, own_logs, tmp_path, options, by):
    out = tmp_path / "out"
    code, text, _ = scalr(
        "study", *own_logs, "--out", out, *QUICK, "--arms", "scalr", "--translator", "cooccurrence", *options
    )
    assert code == 0
    assert NO_TIME in " ".join(text.split())
    assert json.loads((out / "study.json").read_text())["protocol"]["split_rule"] == {
        "by": by,
        "declared": bool(options),
        "own_order": True,
    }
    assert NO_TIME in (out / "report.html").read_text()


def test_sweeps_say_so_too(scalr, own_logs, tmp_path):
    out = tmp_path / "out"
    code, text, _ = scalr(
        "study", *own_logs, "--out", out, *QUICK, "--sweep", "objective", "--translator", "cooccurrence"
    )
    assert code == 0
    assert NO_TIME in " ".join(text.split())
    assert NO_TIME in (out / "report.html").read_text()


def test_a_study_with_auto_and_its_rehearsals_runs_on_an_order_of_each_users_own(scalr, own_logs, tmp_path):
    """Races, windows in days, half-lives and both rehearsals of the gate use the split per user."""
    out = tmp_path / "out"
    code, _, error = scalr(
        "study", *own_logs, "--out", out, "--seeds", 1, "--trials", 6, "--baseline-trials", 6, "--gate"
    )
    assert (code, error) == (0, error)
    content = json.loads((out / "study.json").read_text())
    assert set(content["choice"]["rehearsals"]) == {"near", "far"}


def test_a_first_instant_is_refused_before_any_training(scalr, own_logs, tmp_path):
    code, _, error = scalr("study", *own_logs, "--out", tmp_path / "out", "--test-from", "30")
    assert code == 2
    assert "the split is per user, which follows from the time column" in " ".join(error.split())
