"""Files that tasks write, without Spark: what the driver takes of them, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr.engines.spark.drawing.tasks import larger_batches
from scalr.engines.spark.drawing.writing import BitUnion, WriteFile, write_files
from scalr.foundation.errors import OutputError

SCHEMA = pa.schema({"item": pa.string()})
CONTEXT: Any = SimpleNamespace(
    schema=SCHEMA,
    filer=SimpleNamespace(coded=pa.schema({"item": pa.dictionary(pa.int32(), pa.string())})),
    side=SimpleNamespace(target=SimpleNamespace(items=range(10))),
)


class Frame:
    """A frame whose tasks do what a function of their folder does."""

    def __init__(self, tasks: Callable[[Path], list[dict[str, Any]]]) -> None:
        self._tasks = tasks
        context = SimpleNamespace(accumulator=lambda zero, _: SimpleNamespace(value=zero | np.uint8(0b10100000)))
        self.sparkSession = SimpleNamespace(sparkContext=context)

    def mapInArrow(self, work: Any, _: Any) -> Any:  # noqa: N802 - Spark's name
        return SimpleNamespace(collect=lambda: self._tasks(Path(work.work.folder)))


def file_row(task: int, file: str, rows: int) -> dict[str, Any]:
    return {"task": task, "file": file, "rows": rows, "few": [rows, 1]}


def write(tasks: Any, out: Path) -> Any:
    sent: Any = None
    return write_files(Frame(tasks), SimpleNamespace(), sent, CONTEXT, out)  # type: ignore[arg-type]


def test_one_file_of_each_task_is_taken_and_the_rest_is_gone(tmp_path: Path) -> None:
    def tasks(folder: Path) -> list[dict[str, Any]]:
        for name in ("00000-a", "00000-failed", "00002-b"):
            (folder / name).write_text(name)
        return [file_row(0, "00000-a", 5), file_row(1, "", 0), file_row(2, "00002-b", 7)]

    counts = write(tasks, tmp_path / "out")
    assert {file.name: file.read_text() for file in (tmp_path / "out").iterdir()} == {
        "part-00000.parquet": "00000-a",
        "part-00002.parquet": "00002-b",
    }
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert (counts.rows, counts.few) == (12, (12, 3))
    assert counts.items == 4, "two bits in each of two bytes"


def test_without_events_there_is_a_file_with_columns(tmp_path: Path) -> None:
    assert write(lambda _: [file_row(0, "", 0)], tmp_path / "out").rows == 0
    assert pq.read_table(tmp_path / "out").schema.equals(SCHEMA)


@pytest.mark.parametrize("one", [file_row(0, "written-elsewhere", 5), file_row(0, "", -1)])
def test_a_folder_that_is_not_shared_is_an_error(tmp_path: Path, one: dict[str, Any]) -> None:
    with pytest.raises(OutputError, match="not where") as caught:
        write(lambda _: [one], tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 3
    assert not list(tmp_path.iterdir())


def test_a_task_that_does_not_find_the_folder_draws_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="the extra 'spark' is not installed")
    nothing: Any = None
    (batch,) = WriteFile(nothing, nothing, str(tmp_path / "none"), nothing)([])
    assert batch.to_pydict() == {"task": [0], "file": [""], "rows": [-1], "few": [[0, 0]]}


def test_bits_of_tasks_come_together() -> None:
    param, one, other = BitUnion(), np.array([1, 8], np.uint8), np.array([3, 0], np.uint8)
    assert param.addInPlace(param.addInPlace(param.zero(one), one), other).tolist() == [3, 8]


def test_small_batches_become_larger_ones_with_the_same_rows() -> None:
    batches = [pa.record_batch({"x": np.arange(first, first + 150_000)}) for first in range(0, 900_000, 150_000)]
    found = list(larger_batches(batches))
    assert [len(one) for one in found] == [300_000] * 3
    assert pa.Table.from_batches(found)["x"].to_pylist() == list(range(900_000))
