"""Every kind of bad log gives three lines that name the thing, the value found and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr.foundation.errors import InputError, SchemaError
from scalr.logs.reading import read_pair
from scalr.logs.schema import Columns

Write = Callable[..., Any]


def refused(source: Any, target: Any, *said: str, kind: type[InputError] = SchemaError, **options: Any) -> None:
    """Check that reading fails in three lines, and that each of `said` stands in them."""
    with pytest.raises(kind) as caught:
        read_pair(source, target, **options)
    text = str(caught.value)
    lines = text.splitlines()
    assert len(lines) == 3, text
    assert lines[1].startswith("  expected: ")
    assert lines[2].startswith("  fix: ")
    for part in said:
        assert part in text, text


def changed(table: pa.Table, name: str, values: Any) -> pa.Table:
    """Replace, or add, a column."""
    place = table.schema.get_field_index(name)
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


# Files


def test_a_missing_file(small_target: pa.Table, tmp_path: Path) -> None:
    refused(str(tmp_path / "nope.parquet"), small_target, "there is no file", "nope.parquet", kind=InputError)


def test_a_glob_and_a_folder_with_no_match(small_target: pa.Table, tmp_path: Path) -> None:
    refused(str(tmp_path / "*.parquet"), small_target, "matches no file", kind=InputError)
    refused(tmp_path, small_target, "folder", "matches no file", kind=InputError)


def test_an_unknown_suffix(small_target: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "log.xlsx"
    file.write_bytes(b"x")
    refused(file, small_target, "unknown suffix '.xlsx'", ".parquet", kind=InputError)
    packed = tmp_path / "log.parquet.gz"
    packed.write_bytes(b"x")
    refused(packed, small_target, "unknown suffix '.parquet.gz'", kind=InputError)


def test_a_folder_of_two_formats(write: Write, small_source: pa.Table, small_target: pa.Table, tmp_path: Path) -> None:
    write(small_source, "logs/a.parquet")
    write(small_source, "logs/b.csv")
    refused(tmp_path / "logs", small_target, "several formats: CSV, Parquet", kind=InputError)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.jsonl"])
def test_an_empty_file(small_target: pa.Table, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"")
    refused(file, small_target, name, "is empty (0 bytes)")


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "arrow", "pandas", "polars", "duckdb"])
def test_a_log_without_rows(write: Write, small_source: pa.Table, small_target: pa.Table, name: str) -> None:
    refused(write(small_source.slice(0, 0), name), small_target, "has no rows")


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.gz", "log.jsonl", "log.jsonl.gz"])
def test_a_file_of_other_bytes(small_target: pa.Table, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"\x00\xff\xfe garbage \x80\n\xf0\x9f\n")
    refused(file, small_target, name)


def test_a_truncated_parquet_file(write: Write, small_source: pa.Table, small_target: pa.Table) -> None:
    file = Path(write(small_source, "log.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(file, small_target, "log.parquet", "cannot be read as Parquet")
    file.write_bytes(whole[:4] + bytes(200) + whole[204:])
    refused(file, small_target, "log.parquet", "cannot be read")


def test_csv_rows_of_different_length(small_target: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user_id,item_id,timestamp\n1,2,1600000000\n1,2,1600000000,9\n", encoding="utf-8")
    refused(file, small_target, "log.csv", "cannot be read")


def test_broken_json_lines(small_target: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"user_id": 1, "item_id": 2}\n{"user_id": 1, "item', encoding="utf-8")
    refused(file, small_target, "log.jsonl", "cannot be read")


def test_files_of_one_log_that_differ(
    write: Write, small_source: pa.Table, small_target: pa.Table, tmp_path: Path
) -> None:
    write(small_source, "a/1.parquet")
    write(small_source.drop_columns(["timestamp"]), "a/2.parquet")
    refused(tmp_path / "a", small_target, "column 'timestamp' is in only one of")
    write(small_source, "b/1.parquet")
    write(changed(small_source, "user_id", small_source["user_id"].cast(pa.string()).combine_chunks()), "b/2.parquet")
    refused(tmp_path / "b", small_target, "column 'user_id' is an integer in", "but text in")
    write(small_source, "c/1.csv")
    write(small_source.select(["item_id", "user_id", "timestamp"]), "c/2.csv")
    refused(tmp_path / "c", small_target, "the header of", "item_id,user_id,timestamp")


def test_an_object_that_is_no_frame(small_target: pa.Table) -> None:
    refused(3, small_target, "the source frame is a builtins.int", kind=InputError)
    refused([1, 2], small_target, "builtins.list", kind=InputError)


def test_columns_with_one_name(small_target: pa.Table, tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([1])], names=["user_id", "user_id"])
    pq.write_table(twice, tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_text("user_id,item_id,User_ID\n1,2,3\n", encoding="utf-8")
    refused(twice, small_target, "'user_id' twice")
    refused(tmp_path / "log.parquet", small_target, "'user_id' twice")
    refused(tmp_path / "log.csv", small_target, "'User_ID' beside 'user_id'")
    refused(pd.DataFrame([[1, 2]], columns=["a", "a"]), small_target, "'a'")
    refused(pd.DataFrame([[1, 2]]), small_target, "has a column 0")


# Columns


def test_a_column_that_is_not_there(small_source: pa.Table, small_target: pa.Table) -> None:
    refused(
        small_source, small_target, "no column 'user_idd'", "did you mean 'user_id'", columns=Columns(user="user_idd")
    )
    refused(small_source, small_target, "'prize'", "did you mean 'price'", columns=Columns(value="prize"))
    refused(small_source, small_target, "'prize'", "did you mean 'price'", target_columns=Columns(value="prize"))
    refused(small_source, small_target, "has no column 'price'", source_columns=Columns(value="price"))
    refused(small_source.drop_columns(["user_id"]), small_target, "no user column", "--user COL")
    refused(small_source, small_target, "no item column", columns=Columns(item=""))
    refused(small_source, small_target, "is used as user and item", columns=Columns(user="item_id"))
    refused(small_source, small_target, "'feed'", source_columns={"feed": Columns()})
    refused({"target": small_source}, small_target, "'target'")
    refused({}, small_target, "no source")


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.jsonl", "pandas", "polars"])
def test_nulls_in_keys(write: Write, small_source: pa.Table, small_target: pa.Table, name: str) -> None:
    holes = changed(small_source, "user_id", ["a", None, "b", None, None, None])
    refused(write(holes, name), small_target, "column 'user_id' of", "has 4 nulls (rows 2, 4, 5, ...)", "--drop-nulls")
    refused(
        changed(small_source, "timestamp", [1, 2, 3, 4, 5, None]), small_target, "'timestamp'", "has 1 null (row 6)"
    )


def test_nothing_but_nulls(small_source: pa.Table, small_target: pa.Table) -> None:
    nothing = changed(small_source, "user_id", pa.nulls(6))
    refused(nothing, small_target, "has 6 nulls")
    refused(nothing, small_target, "every row of the source frame has a null", drop_nulls=True)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([True] * 6, "bool, such as True"),
        ([1.0] * 6, "double, such as 1.0"),
        ([[1]] * 6, "list"),
        (pa.array([b"x"] * 6), "binary"),
        (pa.array([2**63] * 6, pa.uint64()), "9223372036854775808"),
    ],
)
def test_ids_that_are_no_ids(small_source: pa.Table, small_target: pa.Table, values: Any, found: str) -> None:
    refused(changed(small_source, "item_id", values), small_target, "column 'item_id' of the source frame", found)


def test_json_ids_of_two_types(small_target: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"user_id": 1, "item_id": 2}\n{"user_id": "a", "item_id": 2}\n', encoding="utf-8")
    refused(file, small_target, "column 'user_id' of log.jsonl mixes types")


def test_python_objects_of_two_types(small_source: pa.Table, small_target: pa.Table) -> None:
    frame = small_source.to_pandas().astype({"user_id": object})
    frame.loc[0, "user_id"] = "a"
    refused(frame, small_target, "the source frame has a column whose values cannot be converted to a single type")


def test_user_ids_of_two_types(small_source: pa.Table, small_target: pa.Table) -> None:
    text = changed(small_source, "user_id", ["1", "1", "2", "2", "3", "4"])
    refused(
        text,
        small_target,
        "text in the source frame (such as '1')",
        "integers in the target frame (such as 1)",
        "--ids string",
    )


def test_no_user_in_both(small_source: pa.Table, small_target: pa.Table) -> None:
    refused(small_source, changed(small_target, "user_id", [8] * 5), "no user has positive events in both domains", "8")


@pytest.mark.parametrize(
    ("role", "values", "found"),
    [
        ("value", ["1", "2", "x", "4", "y"], "the text 'x' (rows 3, 5)"),
        ("weight", ["1", "", "1", "1", "1"], "the text '' (row 2)"),
        ("label", ["1", "0", "yes", "1", "1"], "the text 'yes' (row 3)"),
        ("time", ["1", "0", "later", "1", "1"], "the text 'later' (row 3)"),
        ("value", [1.0, np.inf, 1.0, 1.0, -np.inf], "inf (rows 2, 5)"),
        ("value", pa.array([1.0, np.nan, 1.0, 1.0, 1.0]), "has 1 null (row 2)"),
        ("weight", [1.0, -0.5, 1.0, 1.0, 1.0], "the value -0.5 (row 2)"),
        ("weight", pa.array([np.nan, 1.0, 1.0, 1.0, 1.0]), "has 1 null (row 1)"),
        ("weight", [1.0, 1e300, 1.0, 1.0, 1.0], "the value 1e+300 (row 2)"),
        ("value", [True] * 5, "has the type bool"),
        ("value", [[1]] * 5, "has the type list"),
        ("label", [0, 1, 2, 3, 1], "2 values that are neither 0 nor 1, such as 2 (rows 3, 4)"),
        ("label", [0.5, 1, 0, 1, 1], "such as 0.5 (row 1)"),
        ("label", [1] * 5, "has only the label 1 (5 rows)"),
        ("label", [False] * 5, "has only the label 0 (5 rows)"),
        ("time", pa.array([np.nan, 1.0, 1.0, 1.0, 1.0]), "has 1 null (row 1)"),
        ("time", [1.0, 2.5, 1.0, 1.0, 1.0], "the time 2.5 (row 2)"),
    ],
)
def test_numbers_that_cannot_be_used(
    small_source: pa.Table, small_target: pa.Table, role: str, values: Any, found: str
) -> None:
    bad = changed(small_target, "odd", values)
    refused(small_source, bad, "column 'odd' of the target frame", found, target_columns=Columns(**{role: "odd"}))


@pytest.mark.parametrize(
    "values", [[False, True, True, False, False], [0, 1, 1, 0, 0], ["false", "true", "true", "False", "F"]]
)
def test_synthetic_rows(write: Write, small_source: pa.Table, small_target: pa.Table, values: list[Any]) -> None:
    marked = changed(small_target, "is_synthetic", values)
    for name in ("arrow", "log.csv"):
        refused(
            small_source, write(marked, name), "2 synthetic events ('is_synthetic' is true)", "WHERE NOT is_synthetic"
        )


def test_times_that_cannot_be_compared(small_source: pa.Table, small_target: pa.Table) -> None:
    order = changed(small_source, "timestamp", [1, 2, 3, 4, 5, 6])
    refused(order, small_target, "look like a plain order", "points in time", "--time-unit")
    without = small_source.drop_columns(["timestamp"])
    refused(without, small_target, "the source frame has no time column", "the target frame has 'timestamp'")
    refused({"a": small_source, "b": without}, small_target, "the b frame has no time column")


# Item tables


def test_item_tables_that_cannot_be_used(small_source: pa.Table, small_target: pa.Table) -> None:
    def bad(table: pa.Table, *said: str) -> None:
        refused(small_source, small_target, *said, items=table)

    bad(pa.table({"item": [100, 100], "title": ["a", "b"]}), "1 items with several rows that differ, such as 100")
    bad(pa.table({"title": ["a"]}), "the items frame has no column of item ids (it has title)")
    bad(pa.table({"item": ["x"], "title": ["a"]}), "such as 'x', none of which is in the logs")
    bad(pa.table({"item": [100, None], "title": ["a", "b"]}), "has 1 null (row 2)")
    bad(pa.table({"item": [100.0], "title": ["a"]}), "has the type double")
    bad(pa.table({"item": pa.array([], pa.int64())}), "has no rows")


def test_hostile_names_cannot_add_lines(small_source: pa.Table, small_target: pa.Table) -> None:
    odd = small_source.rename_columns(["user\nid", "item", "time"])
    refused(odd, small_target, "no user column")
