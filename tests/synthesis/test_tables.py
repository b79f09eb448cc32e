import datetime as dt

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.worlds import small_tables

from scalr.engines.generation import generate
from scalr.foundation.errors import SchemaError
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs, read_pair
from scalr.logs.schema import SYNTHETIC_COLUMNS, Columns
from scalr.synthesis.events import rows_of, taken
from scalr.synthesis.tables import PartWriter, TableBuilder, check_columns, write_dictionaries


def rich_tables():
    """Return logs with string ids, a timestamp in another unit than the source's, and columns that play no role."""
    source, target = small_tables()
    n = len(target)
    stamps = pa.array(target["time"].to_numpy() * 1000, pa.timestamp("ms", tz="Europe/Berlin"))
    rich = pa.table(
        {
            "brand": pa.array(["own"] * n),
            "who": pa.array([f"u{u}" for u in target["user"].to_pylist()]),
            "when": stamps,
            "what": pa.array([f"i{i}" for i in target["item"].to_pylist()]),
            "clicked": pa.array(np.random.default_rng(0).integers(0, 2, n), pa.int8()),
            "price": pa.array(target["item"].to_numpy() * 0.5, pa.float32()),
            "basket": pa.array(range(n), pa.int64()),
        }
    )
    people = pa.array([f"u{u}" for u in source["user"].to_pylist()])
    items = pa.table({"what": [f"i{i}" for i in range(100, 112)], "brand": [f"brand {i % 3}" for i in range(12)]})
    return source.set_column(0, "user", people), rich, items


@pytest.fixture(scope="module")
def table_and_target():
    source, target, items = rich_tables()
    stored = read_logs(
        LogRequest(
            source,
            target,
            items=items,
            target_columns=Columns(user="who", item="what", time="when", label="clicked", value="price"),
            source_columns=Columns(user="user", item="item", time="time", label=""),
        )
    )
    from scalr.engines.generation import generate_from
    from scalr.foundation.config import Steps
    from scalr.foundation.receipts import Receipt

    generation = generate_from(stored, Steps(), Receipt("read", 0, 0))
    return generation.table(), target, generation.pair, generation


def test_target_layout_has_the_logs_columns_and_types_then_ours(table_and_target):
    table, target, *_ = table_and_target
    assert table.schema.names == [*target.schema.names, *SYNTHETIC_COLUMNS]
    assert table.schema.types[: len(target.schema)] == target.schema.types
    pa.concat_tables([target, table], promote_options="default")


def test_filled_joined_and_null_columns(table_and_target):
    table, _, _, _ = table_and_target
    assert set(table["clicked"].to_pylist()) == {1}
    assert table["basket"].null_count == len(table)
    for item, price, brand in zip(*(table[name].to_pylist() for name in ("what", "price", "brand")), strict=True):
        assert price == int(item[1:]) * 0.5
        assert brand == f"brand {(int(item[1:]) - 100) % 3}"
    assert all(table["is_synthetic"].to_pylist())


def test_a_synthetic_event_carries_the_time_of_its_source_event(table_and_target):
    table, _, pair, generation = table_and_target
    wanted = pair.source.time[generation.events.source_row] // 1_000_000
    found = [int(when.timestamp()) for when in table["when"].to_pylist()]
    assert found == wanted.tolist()
    assert table["when"].to_pylist()[0].tzinfo is not None


def test_every_event_names_its_source(table_and_target):
    table, _, pair, generation = table_and_target
    source = pair.source
    lookup = {int(key >> np.uint64(1)): row for row, key in enumerate(source.keys())}
    rows = [lookup[event] for event in table["source_event"].to_pylist()]
    assert rows == generation.events.source_row.tolist()
    assert table["source_item"].to_pylist() == source.items.ids.take(pa.array(source.item[rows])).to_pylist()
    assert set(table["source_domain"].to_pylist()) == {"source"}


@pytest.mark.parametrize("layout", ["target", "compact"])
def test_a_file_holds_the_table_in_the_types_of_the_target_log(tmp_path, table_and_target, layout):
    *_, generation = table_and_target
    builder = TableBuilder(generation.stored, generation.generation_id, layout, coded=True)
    writer = PartWriter(tmp_path / "part.parquet", builder.schema, builder.coded)
    rows, n = rows_of(generation.events), len(generation.events)
    for first, last in ((0, n // 3), (n // 3, n)):
        writer.write(builder(taken(rows, np.arange(first, last))))
    writer.close()
    found, wanted = pq.read_table(tmp_path / "part.parquet"), generation.table(layout)
    assert found.schema.types == wanted.schema.types
    assert found.to_pydict() == wanted.to_pydict()
    assert pq.ParquetFile(tmp_path / "part.parquet").num_row_groups == 2
    for read in (pl.read_parquet, lambda file: duckdb.read_parquet(str(file)).pl()):  # readers that are not Arrow
        found = read(tmp_path / "part.parquet")
        timed = [name for name in ("when", "time") if name in found.columns]  # zones come back in other words
        assert found.drop(timed).equals(pl.from_arrow(wanted).drop(timed))


def test_columns_that_are_always_filled_cannot_be_null(table_and_target):
    table, target, *_ = table_and_target
    always = {"who", "what", "when", "clicked", *SYNTHETIC_COLUMNS}
    assert {one.name for one in table.schema if not one.nullable} == always
    assert {one.name for one in table.schema if one.nullable} == set(target.schema.names) - always


def test_compact_codes_lead_back_to_the_ids(tmp_path, table_and_target):
    table, *_, generation = table_and_target
    write_dictionaries(generation.stored, tmp_path / "dictionaries")
    compact = generation.table("compact")
    for code, ids, name in (
        ("user", "users", "who"),
        ("item", "items", "what"),
        ("source_item", "source_items", "source_item"),
    ):
        words = pq.read_table(tmp_path / f"dictionaries/{ids}.parquet")
        assert words["id"].take(compact[code]).to_pylist() == table[name].to_pylist()


@pytest.mark.parametrize(
    ("kind", "first"),
    [(pa.date32(), dt.date), (pa.timestamp("s"), dt.datetime), (pa.int64(), int), (pa.int32(), int)],
)
def test_time_comes_back_in_the_users_type(kind, first):
    source, target = small_tables()
    seconds = target["time"]
    if pa.types.is_date(kind):
        column = pa.array((seconds.to_numpy() // 86_400).astype(np.int32), pa.int32()).cast(kind)
    else:
        column = seconds.cast(pa.int64()).cast(kind)
    table = generate(source, target.set_column(2, "time", column)).table()
    assert table.schema.field("time").type == kind
    assert isinstance(table["time"][0].as_py(), first)


def test_a_reserved_column_name_is_refused():
    source, target = small_tables()
    pair = read_pair(source, target.append_column("support", pa.array(np.zeros(len(target)))))
    with pytest.raises(SchemaError, match="column 'support'"):
        check_columns(pair)


def test_generation_id_does_not_depend_on_row_order_but_on_seed_and_events():
    source, target = small_tables()
    order = np.random.default_rng(0).permutation(len(source))
    from scalr.foundation.config import Steps

    name = generate(source, target).generation_id
    assert generate(source.take(order), target).generation_id == name
    assert generate(source, target, steps=Steps(seed=1)).generation_id != name
    assert generate(source.slice(1), target).generation_id != name


def test_generation_id_changes_with_labels_values_and_weights():
    source, target = small_tables()
    random = np.random.default_rng(5)
    names = {generate(source, target).generation_id}
    for name, values in (("label", random.integers(0, 2, len(target))), ("value", random.random(len(target)))):
        names.add(generate(source, target.append_column(name, pa.array(values))).generation_id)
        names.add(generate(source, target.append_column(name, pa.array(1 - values))).generation_id)
    assert len(names) == 5


def test_dictionary_and_text_columns_come_back_in_their_type():
    source, target = small_tables()
    times = pa.compute.strftime(target["time"].cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ")
    coded = target.set_column(1, "item", target["item"].combine_chunks().dictionary_encode())
    coded = coded.set_column(2, "time", times)
    made, plain = generate(source, coded).table(), generate(source, target).table()
    assert made.schema.field("item").type == coded.schema.field("item").type
    assert made["item"].to_pylist() == plain["item"].to_pylist()
    assert made["time"].to_pylist()[0].endswith("Z")
    assert set(made["time"].to_pylist()) <= set(
        pa.compute.strftime(source["time"].cast(pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%SZ").to_pylist()
    )


def test_item_columns_that_do_not_fit_are_refused_before_any_work():
    source, target = small_tables()
    coded = target.append_column("category", pa.array(np.zeros(len(target), np.int64)))
    items = pa.table({"item": list(range(100, 112)), "category": [f"c{i}" for i in range(12)]})
    with pytest.raises(SchemaError, match="column 'category' is int64 in the target log, but string"):
        check_columns(read_pair(source, coded, items=items))


def test_text_values_in_the_item_table_are_refused():
    source, target = small_tables()
    items = pa.table({"item": list(range(100, 112)), "value": [f"v{i}" for i in range(12)]})
    with pytest.raises(SchemaError, match="'value' of the item table has type string"):
        generate(source, target, items=items)
