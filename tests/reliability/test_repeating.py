"""A run is repeated from its manifest, and nothing around it decides what comes out."""

import json
import locale
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from tests.reliability.jobs import FIGURE, GENERATE, STUDY, Job, Runner, contents

pytestmark = pytest.mark.trust


@pytest.mark.parametrize("name", ["generate, compact", "run"])
def test_a_manifest_holds_all_it_takes_to_repeat_a_run(name, jobs, runner, tmp_path, record_property):
    """Whole files are the same, the manifest too."""
    first = runner.run(jobs[name], tmp_path / "first")
    assert first.status == 0, first.said
    again = Job("again", ("run", "--from-manifest", str(tmp_path / "first" / "manifest.json")))
    done = runner.run(again, tmp_path / "second")
    assert done.status == 0, done.said
    assert contents(tmp_path / "second") == contents(tmp_path / "first")
    record_property(
        FIGURE, (f"repeated from the manifest of {name!r}", f"{len(contents(tmp_path / 'first'))} files equal")
    )


def test_a_repetition_checks_its_inputs(jobs, runner, tmp_path):
    assert runner.run(jobs["generate"], tmp_path / "first").status == 0
    manifest = tmp_path / "first" / "manifest.json"
    logs = {name: jobs["generate"].arguments[place] for name, place in (("source", 2), ("target", 4))}
    moved = tmp_path / "moved.parquet"
    moved.write_bytes(Path(logs["target"]).read_bytes())

    def repeated(*changes: str):
        sets = [part for change in changes for part in ("--set", change)]
        return runner.run(Job("again", ("run", "--from-manifest", str(manifest), *sets)), tmp_path / "second")

    for changes, what in (
        ([f"target={logs['source']}"], "target '"),
        (["target=nowhere.parquet"], "there is no file"),
        (["seed=3"], "--set 'seed=3' would make another run"),
    ):
        refused = repeated(*changes)
        assert (refused.status, refused.said.count("\n")) == (2, 3), refused.said
        assert what in refused.said
    assert repeated(f"target={moved}").status == 0
    for old, new in (
        ('"command": "generate"', '"command": "study"'),
        ('"request"', '"wish"'),
        ('"layout": "target"', '"layout": "x"'),
    ):
        text = manifest.read_text()
        assert old in text
        other = tmp_path / "other.json"
        other.write_text(text.replace(old, new))
        refused = runner.run(Job("again", ("run", "--from-manifest", str(other))), tmp_path / "third")
        assert (refused.status, refused.said.count("\n")) == (2, 3), refused.said


def test_a_repetition_that_comes_out_otherwise_says_so(jobs, runner, tmp_path, capsys, monkeypatch):
    from scalr.cli import main
    from scalr.runs.manifest import check_outputs, read_manifest

    assert runner.run(jobs["generate"], tmp_path / "first").status == 0
    file = tmp_path / "first" / "manifest.json"
    manifest = json.loads(file.read_text())
    part = next(one for one in manifest["outputs"] if one["file"].endswith(".parquet"))
    part["sha256"] = "0" * 64
    manifest["environment"]["libraries"]["numpy"] = "1.0"
    file.write_text(json.dumps(manifest))
    # This process has parts of another size, so every file is another one here.
    assert main(["run", "--from-manifest", str(file), "--out", str(tmp_path / "second")]) == 0
    said = capsys.readouterr()
    assert "Not the same: " in said.out
    assert part["file"] in said.out
    assert "made with numpy 1.0, repeated with" in said.err
    assert check_outputs(tmp_path / "second", read_manifest(tmp_path / "second")) == []


def available(*names: str) -> str:
    """Return the first locale that the system has."""
    before = locale.setlocale(locale.LC_ALL)
    for name in names:
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        finally:
            locale.setlocale(locale.LC_ALL, before)
        return name
    return "C"


FOREIGN = available("tr_TR.UTF-8", "de_DE.UTF-8", "C.UTF-8")  # the letter i, and commas in numbers, are other ones
SURROUNDINGS = {
    "plain": {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"},
    "other": {
        "LC_ALL": FOREIGN,
        "LANG": FOREIGN,
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "4242",
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    },
}


def test_locale_zone_hash_seed_folder_and_cores_change_nothing(jobs, tmp_path, record_property):
    """Times are text, and read from CSV, where a zone would show."""
    logs = Path(jobs["generate"].arguments[2]).parent
    for name in ("source", "target"):
        table = pq.read_table(logs / f"{name}.parquet")
        place = table.schema.get_field_index("time")
        text = table["time"].cast("timestamp[s]").cast("string")
        pyarrow.csv.write_csv(table.set_column(place, "time", text), tmp_path / f"{name}.csv")
    settings = {"source": "source.csv", "target": "target.csv", **STUDY}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    found = []
    for number, (name, variables) in enumerate(SURROUNDINGS.items()):
        folder = tmp_path / f"in {name}"
        folder.mkdir()
        cores = os.sched_getaffinity(0)
        if name == "other":
            os.sched_setaffinity(0, {min(cores)})
        try:
            runner = Runner(cwd=folder, env={**os.environ, **variables})
            job = Job("run", ("run", os.path.relpath(tmp_path / "run.yaml", folder)))
            ended = runner.run(job, folder / "run", "--threads", str(3 - 2 * number))
            runner.close()
        finally:
            os.sched_setaffinity(0, cores)
        assert ended.status == 0, ended.said
        found.append({file: digest for file, digest in contents(folder / "run").items() if file != "manifest.json"})
    assert found[0] == found[1]
    assert "evaluation.json" in found[0]
    record_property(FIGURE, ("equal in other surroundings", f"{len(found[0])} files of a run"))


@pytest.mark.slow
def test_files_are_the_same_in_any_surroundings_and_from_logs_in_any_order(jobs, tmp_path, record_property):
    """Both layouts, every file but the manifest, which holds digests of the logs."""
    logs, order = Path(jobs["generate"].arguments[2]).parent, np.random.default_rng(0)
    for name in ("source", "target"):
        table = pq.read_table(logs / f"{name}.parquet")
        mixed = table.take(pa.array(order.permutation(len(table))))
        for kind, rows, group in (("as is", table, None), ("mixed", mixed, 37)):
            (tmp_path / kind).mkdir(exist_ok=True)
            pq.write_table(rows, tmp_path / kind / f"{name}.parquet", row_group_size=group)
    assert pq.read_metadata(tmp_path / "mixed" / "source.parquet").num_row_groups > 10
    cases = {  # surroundings: logs, threads, whether events go to files
        "plain": (("as is", "1", False), ("mixed", "2", True)),
        "other": (("as is", "2", True), ("mixed", "1", False)),
    }
    found, operations, now = {}, {}, tmp_path / "logs"
    for name, variables in SURROUNDINGS.items():
        folder = tmp_path / "in" / name
        folder.mkdir(parents=True)
        runner = Runner(cwd=folder, env={**os.environ, **variables})
        for layout in ("target", "compact"):
            for kind, threads, nothing_fits in cases[name]:
                now.unlink(missing_ok=True)
                now.symlink_to(tmp_path / kind)  # the report shows how the logs were given
                given = ("-s", "../../logs/source.parquet", "-t", "../../logs/target.parquet", "--layout", layout)
                job, out = Job("generate", ("generate", *given, *GENERATE)), folder / f"{layout}, {kind}"
                ended = runner.run(job, out, "--threads", threads, nothing_fits=nothing_fits)
                assert ended.status == 0, ended.said
                files = {file: digest for file, digest in contents(out).items() if file != "manifest.json"}
                found.setdefault(layout, []).append(files)
                operations.setdefault(nothing_fits, []).append(ended.operations)
        runner.close()
    assert min(operations[True]) > max(operations[False]), "nothing went to files"
    for layout, (first, *others) in found.items():
        assert sum(file.startswith("synthetic/") for file in first) > 1, "one part shows no seam"
        assert any(file.startswith("dictionaries/") for file in first) == (layout == "compact")
        assert others == [first] * 3
    n_files = sum(len(files[0]) for files in found.values())
    record_property(FIGURE, ("equal in 4 surroundings and orders", f"{n_files} files of both layouts, {FOREIGN}"))
