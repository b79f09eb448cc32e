"""Parts that are finished are taken over as they are; all others are made again."""

import numpy as np
import pytest
from tests.engines.ways import SETTINGS, digests
from tests.worlds import small_tables

from scalr.engines.local import passes as narrowing
from scalr.engines.local.writing import LocalOutput, write_events
from scalr.foundation.checkpoints import Checkpoints
from scalr.foundation.config import Steps
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.synthesis import parts as stream


@pytest.fixture
def many_parts(monkeypatch):
    """Many parts; return the numbers of those that are drawn, one entry per pass."""
    monkeypatch.setattr(stream, "PART_DRAWS", 300)
    monkeypatch.setattr(narrowing, "COMPARED_ROWS", 500)
    drawn, chunks = [], stream.Stream.chunks

    def counted(self, part, *arguments):
        drawn.append(part.number)
        return chunks(self, part, *arguments)

    monkeypatch.setattr(stream.Stream, "chunks", counted)
    return drawn


@pytest.mark.parametrize("name", ["plain", "all", "merge", "aligned", "nothing"])
def test_only_what_is_missing_is_made_again(name, many_parts, tmp_path):
    stored, steps = read_logs(LogRequest(*small_tables(seed=2))), Steps.parse({"seed": 4, **SETTINGS[name]})
    (tmp_path / "pieces").mkdir()
    (tmp_path / "out").mkdir()
    pieces = Checkpoints(tmp_path / "pieces")

    def made() -> tuple[LocalOutput, dict[str, str], list[int]]:
        many_parts.clear()
        done = write_events(stored, steps, tmp_path / "out", pieces=pieces)
        return done, digests(tmp_path / "out"), list(many_parts)

    first, wanted, drawn = made()
    assert len(set(drawn)) > 3
    files = sorted((tmp_path / "out" / "synthetic").glob("part-*.parquet"))
    (tmp_path / "out" / "synthetic" / "part-00001.growing").write_text("half")
    (tmp_path / "out" / "synthetic" / "part-99999.parquet").write_text("of another run")
    (tmp_path / "pieces" / "part-00002.npz").write_bytes(b"damaged")
    lost = {2}
    if name != "nothing":
        files[0].unlink()
        files[1].write_bytes(files[1].read_bytes()[:-1] + b"x")
        lost |= {int(file.stem.removeprefix("part-")) for file in files[:2]}
    second, found, again = made()
    assert sorted(again) == sorted(lost)
    assert found == wanted
    assert second.generation_id == first.generation_id
    assert second.negatives == first.negatives
    for one, other in zip(second.receipts, first.receipts, strict=True):
        assert (one.stage, one.rows_in, one.rows_out) == (other.stage, other.rows_in, other.rows_out)
        assert one.details == other.details or one.stage == "fit"
    np.testing.assert_array_equal(second.facts.item_counts, first.facts.item_counts)
    for column in ("user", "item", "source_item", "confidence", "support", "key"):
        np.testing.assert_array_equal(getattr(second.facts.best, column), getattr(first.facts.best, column))
    assert {file.name for file in (tmp_path / "out" / "synthetic").iterdir()} == {file.name for file in files}
