"""`scalr inspect --audit` and `--privacy`, as users see them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq


def test_the_command_audits_folders_and_files(scalr, logs, tmp_path):
    out = tmp_path / "out"
    code, said, _ = scalr("generate", *logs, "--out", out, "--privacy", "k=2", "--align", "popularity")
    assert code == 0
    assert "At least 2 other users are behind every event" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["privacy"]["k"] == 2
    assert manifest["privacy"]["share_below"]["3"] > 0
    assert "Privacy of the synthetic events" in (out / "report.html").read_text()
    code, said, _ = scalr("inspect", out, "--audit")
    assert code == 0
    assert "marginal-far" in said
    (file,) = (out / "synthetic").glob("part-*.parquet")
    alone = ("inspect", file, "--audit", *logs, "--align", "popularity")
    assert scalr(*alone, "--privacy", "k=2", "--most-distance", "1")[0] == 0
    code, _, few = scalr(*alone, "--privacy", "k=60")
    assert code == 2
    assert "below-k" in few
    code, _, far = scalr(*alone, "--most-distance", "0")
    assert code == 2
    assert "marginal-far" in far
    table = pq.read_table(file)
    place = table.column_names.index("support")
    faked = pa.array([table["support"][0].as_py() + 1, *table["support"].to_pylist()[1:]], pa.int32())
    pq.write_table(table.set_column(place, "support", faked), file)
    code, _, told = scalr("inspect", out, "--audit")
    assert code == 2
    assert "support-differs" in told


def test_a_preset_that_cannot_be_read_is_refused(scalr, logs, tmp_path):
    for text in ("5", "k=", "k=2.5", "l=3", "epsilon=1;k=2"):
        code, _, said = scalr("generate", *logs, "--out", tmp_path / "out", "--privacy", text)
        assert code == 2
        assert "k=N" in said
    code, _, said = scalr("generate", *logs, "--out", tmp_path / "out", "--privacy", "k=0")
    assert code == 2
    assert "translate.privacy.k" in said


def test_noise_is_for_one_generation_alone(scalr, logs, tmp_path):
    given = (*logs, "--out", tmp_path / "out", "--privacy", "epsilon=1,delta=1e-6")
    code, _, said = scalr("study", *given, "--align", "none")
    assert code == 2
    assert "a study fits again" in said
    code, _, said = scalr("generate", *given)
    assert code == 2
    assert "refine.align" in said


def test_an_audit_without_rows_is_refused(scalr, logs):
    code, _, said = scalr("inspect", "--audit", *logs)
    assert code == 2
    assert "no synthetic events" in said
