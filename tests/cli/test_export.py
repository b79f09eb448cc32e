"""`scalr export` as a user runs it."""

import json

import pyarrow.parquet as pq
import pytest

from scalr.adapters import ADAPTERS


@pytest.fixture
def run(scalr, logs, tmp_path):
    assert scalr("generate", *logs, "--out", tmp_path / "run", "--quiet")[0] == 0
    return tmp_path / "run"


def test_export_writes_and_tells(scalr, run, tmp_path):
    code, out, err = scalr("export", run, "--to", "pandas", "--out", tmp_path / "out", "--synthetic-weight", 0.5)
    assert (code, err) == (0, "")
    rows = sum(pq.read_metadata(part).num_rows for part in (tmp_path / "out" / "events").glob("*.parquet"))
    assert f"{rows:,} events for pandas" in out
    assert "λ = 0.5, κ = 4" in out
    assert "Load: pandas.read_parquet" in out


def test_export_in_json(scalr, run, tmp_path):
    code, out, _ = scalr("export", run, "--to", "recbole", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "out" / "export.json").read_text())
    assert json.loads(out)["thinned"] is True


def test_list_names_every_library_with_its_way(scalr):
    code, out, _ = scalr("export", "--list")
    assert code == 0
    for name, one in ADAPTERS.items():
        line = next(line for line in out.splitlines() if line.split()[:1] == [name])
        assert one.how in line


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        ([], "RUN is missing", "--list"),
        (["run"], "--out DIR is missing", "--list"),
        (["run", "--out", "out"], "--to NAME is missing", "--list"),
        (["run", "--out", "out", "--to", "recbol"], "no library is called 'recbol'", "did you mean 'recbole'?"),
        (["nowhere", "--out", "out", "--to", "pandas"], "nowhere", "--out"),
    ],
)
def test_wrong_command_lines_have_three_lines(scalr, tmp_path, monkeypatch, arguments, said, fix):
    monkeypatch.chdir(tmp_path)
    code, out, err = scalr("export", *arguments)
    assert (code, out) == (2, "")
    lines = err.strip().splitlines()
    assert len(lines) == 3
    assert said in lines[0]
    assert fix in lines[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_is_exported_with_the_weights_its_study_chose(scalr, logs, tmp_path):
    assert scalr("init", tmp_path / "scalr.yaml", *logs)[0] == 0
    quick = ("study.seeds=1", "study.baseline_trials=1", "study.trials=4", "study.arms=[scalr]", "train.max_epochs=2")
    options = [word for one in quick for word in ("--set", one)]
    assert scalr("run", tmp_path / "scalr.yaml", "--out", tmp_path / "run", *options, "--quiet")[0] == 0
    code, out, _err = scalr("export", tmp_path / "run", "--to", "pandas", "--out", tmp_path / "out", "--json")
    chosen = json.loads((tmp_path / "run" / "manifest.json").read_text())["settings"]["train"]
    facts = json.loads(out)
    assert code == 0
    assert {name: facts[name] for name in ("synthetic_weight", "shrinkage")} == {
        name: chosen[name] for name in ("synthetic_weight", "shrinkage")
    }
    gate = json.loads((tmp_path / "run" / "evaluation.json").read_text())["choice"]["gate"]
    assert bool(facts["notes"]) == any(not one["open"] for one in gate)
