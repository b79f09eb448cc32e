"""Leaky columns from the command line: reported, dropped, found again later."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr.foundation.config import RunSettings
from scalr.logs.simulation import simulate
from scalr.runs.manifest import check_outputs, read_manifest
from scalr.runs.running import run

pytest.importorskip("lightgbm", reason="the classifier needs the extra 'models'")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder, world = tmp_path_factory.mktemp("logs"), simulate(n_users=200, seed=1)
    device = pa.array(np.random.default_rng(0).choice(["phone", "desktop"], len(world.target)))
    pq.write_table(world.target.append_column("device", device), folder / "target.parquet")
    pq.write_table(world.source, folder / "source.parquet")
    return folder


@pytest.fixture
def generate(scalr, logs):
    files = "--source", logs / "source.parquet", "--target", logs / "target.parquet"
    return lambda out, *options: scalr("generate", *files, "--out", out, *options)


@pytest.mark.parametrize("option", ["--check-leaks", "--drop-leaky"])
def test_a_column_that_only_real_rows_have_is_reported_and_dropped(generate, tmp_path, option):
    code, output, _ = generate(tmp_path / "out", option)
    assert code == 0
    manifest = read_manifest(tmp_path / "out")
    is_dropped = option == "--drop-leaky"
    assert manifest["leaks"]["droppable"] == ["device"]
    assert manifest["leaks"]["before"]["auc"] == 1.0
    assert manifest["leaks"]["after"]["auc"] < 0.6
    assert manifest["leaks"]["dropped"] is is_dropped
    assert check_outputs(tmp_path / "out", manifest) == []
    (part,) = (tmp_path / "out" / "synthetic").iterdir()
    assert ("device" in pq.read_schema(part).names) is not is_dropped
    assert pq.read_metadata(part).num_rows == manifest["synthetic_events"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="leaks">') :]
    assert ("<td>dropped</td>" in section) is is_dropped
    assert ("<code>device</code> identifies synthetic rows" in page) is not is_dropped
    assert "by its nulls" in " ".join(output.split())


def test_events_are_the_same_but_for_the_dropped_columns(generate, tmp_path):
    for name, options in (("plain", ()), ("slim", ("--drop-leaky",))):
        assert generate(tmp_path / name, *options)[0] == 0
    plain, slim = (pq.read_table(tmp_path / name / "synthetic") for name in ("plain", "slim"))
    assert slim.equals(plain.drop_columns(["device"]))
    assert "leaks" not in read_manifest(tmp_path / "plain")


def test_inspect_finds_it_later(scalr, generate, tmp_path):
    generate(tmp_path / "out")
    code, output, _ = scalr("inspect", tmp_path / "out", "--leaks", "--json")
    assert code == 0
    assert json.loads(output)["leaks"]["droppable"] == ["device"]


def test_a_layout_of_codes_is_refused_before_anything_is_made(generate, tmp_path):
    code, _, errors = generate(tmp_path / "out", "--check-leaks", "--layout", "compact")
    assert code == 2
    assert "layout 'compact' has no columns" in errors
    assert not (tmp_path / "out").exists()


def test_a_run_drops_them_as_well(logs, tmp_path):
    settings = {
        "source": str(logs / "source.parquet"),
        "target": str(logs / "target.parquet"),
        "leaks": "drop",
        "study": {"seeds": 1, "arms": ["scalr"], "baseline_trials": 0},
        "train": {"max_epochs": 2},
    }
    manifest = run(RunSettings.parse(settings, "the test"), tmp_path / "out")
    assert manifest["leaks"]["dropped"] is True
    assert '<section id="leaks">' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert check_outputs(tmp_path / "out", manifest) == []
