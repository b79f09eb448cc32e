"""The item table: one row per item code, whatever the order, domains and types of its ids."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scalr.logs.reading import read_pair

Write = Callable[..., Any]


def item_table(**more: list[Any]) -> pa.Table:
    return pa.table(
        {
            "item_id": [100, 102, 10, 7],
            "title": ["soap", "tea", "salt", "lamp"],
            "tags": [["a"], [], None, ["b"]],
            **more,
        }
    )


@pytest.mark.parametrize("name", ["items.parquet", "items.csv", "items.jsonl", "pandas", "polars", "duckdb"])
def test_the_item_table_has_one_row_per_code(
    write: Write, small_source: pa.Table, small_target: pa.Table, name: str
) -> None:
    table = item_table().drop_columns(["tags"]) if name.endswith("csv") else item_table()
    pair = read_pair(small_source, small_target, items=write(table, name))
    assert pair.items is not None
    found = dict(zip(pair.target.items.ids.to_pylist(), pair.items.target["title"].to_pylist(), strict=True))
    assert found == {100: "soap", 101: None, 102: "tea"}
    found = dict(zip(pair.source.items.ids.to_pylist(), pair.items.source["title"].to_pylist(), strict=True))
    assert found == {10: "salt", 11: None, 12: None}
    assert pair.items.item_column == "item_id"
    assert pair.inputs[-1]["role"] == "items"


def test_a_domain_column_tells_equal_ids_apart(small_target: pa.Table, small_source: pa.Table) -> None:
    source = small_source.set_column(1, "item_id", pa.array([100] * 6))
    ids, title, domain = [100, 100, 101], ["soap", "salt", "tea"], ["target", "source", "target"]
    table = pa.table({"item_id": ids, "title": title, "domain": domain})
    pair = read_pair(source, small_target, items=table)
    assert pair.items is not None
    assert pair.items.source["title"].to_pylist() == ["salt"]
    assert set(pair.items.target["title"].to_pylist()) == {"soap", "tea", None}
    named = table.set_column(2, "domain", pa.array(["target", "feed", "video"]))
    pair = read_pair(
        {"feed": source, "video": source.set_column(1, "item_id", pa.array([101] * 6))}, small_target, items=named
    )
    assert pair.items is not None
    assert sorted(pair.items.source["title"].to_pylist()) == ["salt", "tea"]
    assert pair.items.target["title"].null_count == 2


def test_an_item_may_stand_twice_if_its_rows_are_equal(small_source: pa.Table, small_target: pa.Table) -> None:
    once = read_pair(small_source, small_target, items=item_table()).items
    twice = read_pair(small_source, small_target, items=pa.concat_tables([item_table(), item_table()])).items
    assert once is not None
    assert twice is not None
    assert twice.target.equals(once.target)


def test_item_ids_follow_the_logs(small_source: pa.Table, small_target: pa.Table, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item_id,title\n100,soap\n10,salt\n", encoding="utf-8")
    for given_items in (file, item_table()):
        pair = read_pair(small_source, small_target, items=given_items, ids="string")
        assert pair.items is not None
        assert "soap" in pair.items.target["title"].to_pylist()
    assert any("has only 1 of 3" in warning for warning in read_pair(small_source, small_target, items=file).warnings)


def test_source_categories_are_codes_in_any_type(small_source: pa.Table, small_target: pa.Table) -> None:
    for values in (["a", None, "a"], [7, None, 7]):
        table = pa.table({"item_id": [10, 11, 100], "CATEGORY": values})
        items = read_pair(small_source, small_target, items=table).items
        assert items is not None
        codes, n_categories = items.source_categories()
        ids = read_pair(small_source, small_target).source.items.ids.to_pylist()
        assert dict(zip(ids, codes.tolist(), strict=True)) == {10: 0, 11: -1, 12: -1}
        assert n_categories == 1
    items = read_pair(small_source, small_target, items=item_table()).items
    assert items is not None
    assert items.source_categories()[1] == 0
