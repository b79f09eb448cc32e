import contextlib
import json
import os

import pytest

from scalr.foundation.errors import InputError, OutputError
from scalr.foundation.receipts import Receipt
from scalr.runs.folders import check_free, finished_folder
from scalr.runs.manifest import check_outputs, read_manifest, write_json, write_manifest


def test_a_folder_appears_when_it_is_finished(tmp_path):
    out = tmp_path / "deep" / "run"
    with finished_folder(out) as folder:
        (folder / "a.txt").write_text("x")
        assert not out.exists()
    assert (out / "a.txt").read_text() == "x"
    assert os.listdir(out.parent) == ["run"]


def test_an_empty_folder_may_be_filled(tmp_path):
    with finished_folder(tmp_path / "run") as folder:
        (folder / "a.txt").write_text("x")
        (tmp_path / "run").mkdir()
    assert (tmp_path / "run" / "a.txt").exists()


def fill(out, error):
    with finished_folder(out) as folder:
        (folder / "a.txt").write_text("x")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_after_an_error(tmp_path, error):
    with pytest.raises(error):
        fill(tmp_path / "run", error)
    assert os.listdir(tmp_path) == []


def test_a_filled_folder_and_a_file_are_refused_and_untouched(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty \(1 entries\)"):
        check_free(tmp_path / "full")
    with pytest.raises(OutputError, match="is a file"):
        check_free(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be written"):
        check_free(tmp_path / "file" / "below")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_a_folder_that_filled_up_meanwhile_is_not_replaced(tmp_path):
    stack = contextlib.ExitStack()
    stack.enter_context(finished_folder(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "theirs.txt").write_text("theirs")
    with pytest.raises(OSError, match="not empty"):
        stack.close()
    assert os.listdir(tmp_path / "run") == ["theirs.txt"]


def test_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
    """Root may write anywhere, so the failing system call is played back."""
    import tempfile

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    with pytest.raises(OutputError, match="no permission in"):
        check_free(tmp_path / "run")


def test_the_manifest_names_every_file_and_a_change_is_found(tmp_path):
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "part.txt").write_text("abc")
    manifest = write_manifest(
        tmp_path,
        [Receipt("read", 2, 3, 0.5, 0.25, {"more": 1})],
        {"command": "run", "seed": 4, "synthetic_events": 0, "item_coverage": 0.0},
    )
    assert read_manifest(tmp_path) == json.loads(json.dumps(manifest))
    assert manifest["stages"]["read"] == {
        "rows_in": 2,
        "rows_out": 3,
        "wall_seconds": 0.5,
        "cpu_seconds": 0.25,
        "more": 1,
    }
    assert [one["file"] for one in manifest["outputs"]] == ["synthetic/part.txt"]
    assert manifest["outputs"][0]["sha256"].startswith("ba7816bf")
    assert manifest["peak_rss_bytes"] > 10**6
    assert check_outputs(tmp_path, manifest) == []
    (tmp_path / "synthetic" / "part.txt").write_text("abd")
    assert check_outputs(tmp_path, manifest) == ["synthetic/part.txt"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": "other/9"}', '{"schema": "scalr.manifest/1"}'])
def test_folders_without_a_manifest_of_ours_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError):
        read_manifest(tmp_path)


def test_json_with_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
