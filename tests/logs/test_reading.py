"""Reading: the same events give the same pair from any format, in any order; the user's columns are found and kept."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalr.logs.event_log import EventLog, Pair
from scalr.logs.reading import read_pair
from scalr.logs.schema import Columns

Write = Callable[..., Any]
FORMATS = (
    "log.parquet",
    "log.csv",
    "log.csv.gz",
    "log.jsonl",
    "log.ndjson.gz",
    "log.json",
    "pandas",
    "polars",
    "lazy",
    "arrow",
    "duckdb",
)
DATA = Path(__file__).parents[3] / "shared" / "data"


def assert_equal_logs(left: EventLog, right: EventLog) -> None:
    """Compare what a log means; the user's types may differ between formats."""
    for part in ("users", "items"):
        one, other = getattr(left, part), getattr(right, part)
        assert one.ids.equals(other.ids)
        assert np.array_equal(one.keys, other.keys)
        assert np.array_equal(one.domain, other.domain)
        assert one.domains == other.domains
    for part in ("user", "item", "time", "label", "value", "weight"):
        one, other = getattr(left, part), getattr(right, part)
        assert (one is None) == (other is None), part
        if one is not None:
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes(), part
    assert left.columns == right.columns


def assert_equal_pairs(left: Pair, right: Pair) -> None:
    assert_equal_logs(left.source, right.source)
    assert_equal_logs(left.target, right.target)


def events(log: EventLog) -> list[tuple[Any, ...]]:
    """The log as sorted (user id, item id, ...) rows."""
    columns = [log.users.ids.take(pa.array(log.user)).to_pylist(), log.items.ids.take(pa.array(log.item)).to_pylist()]
    columns += [part.tolist() for part in (log.time, log.label, log.value, log.weight) if part is not None]
    return sorted(zip(*columns, strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_pair(
    write: Write, small_source: pa.Table, small_target: pa.Table, name: str
) -> None:
    expected = read_pair(small_source, small_target)
    other = read_pair(write(small_source, f"s_{name}" if "." in name else name), write(small_target, name))
    assert_equal_pairs(other, expected)
    assert other.target.schema is not None
    assert other.target.schema.names == small_target.column_names
    assert other.target.schema.types[:4] == [pa.int64(), pa.int64(), pa.int64(), pa.float64()]


def test_events_are_those_of_the_file(small_source: pa.Table, small_target: pa.Table) -> None:
    pair = read_pair(small_source, small_target)
    rows = small_target.select(["user_id", "item_id", "timestamp", "price"]).to_pylist()
    micro = [(row["user_id"], row["item_id"], row["timestamp"] * 10**6, row["price"]) for row in rows]
    assert events(pair.target) == sorted(micro)
    assert pair.target.columns == Columns("user_id", "item_id", "timestamp", "", "price", "")
    assert pair.target.label is None
    assert pair.source.users is pair.target.users
    overlap = pair.source.users.ids.take(pa.array(pair.overlap_users))
    assert sorted(overlap.to_pylist()) == [1, 2, 3]


def test_rows_stand_in_the_documented_order(small_source: pa.Table, small_target: pa.Table) -> None:
    twice = pa.concat_tables([small_target, small_target.set_column(2, "timestamp", pa.array([1_500_000_000] * 5))])
    target = read_pair(small_source, twice).target
    assert target.time is not None
    assert target.value is not None
    rows = list(
        zip(target.user.tolist(), target.item.tolist(), target.time.tolist(), target.value.tolist(), strict=True)
    )
    assert rows == sorted(rows)
    for vocabulary in (target.users, target.items):
        assert (np.diff(vocabulary.keys.astype(object)) > 0).all()


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from([-1.5, -0.0, 0.0, 0.25, 3.0]),
        st.sampled_from([0.0, 0.5, 2.0]),
    ),
    min_size=1,
    max_size=25,
)
NAMES = st.sampled_from(["u{}", "ä {}", '"{}",', " {} ", "{}"])


def log_of(rows: list[tuple[Any, ...]], name: str) -> pa.Table:
    """A log with one positive and one negative event of user 0 added, so that both labels and an overlap are there."""
    rows = [*rows, (0, 0, 0, True, 0.0, 1.0), (0, 0, 0, False, 0.0, 1.0)]
    user, item, time, label, value, weight = zip(*rows, strict=True)
    users = list(user) if name == "{}" else [name.format(number) for number in user]
    times = [1_600_000_000 + second for second in time]
    columns = {"user": users, "item": list(item), "ts": times, "label": [int(one) for one in label]}
    return pa.table({**columns, "value": list(value), "weight": list(weight)})


@given(ROWS, ROWS, NAMES, st.sampled_from(FORMATS), st.randoms(use_true_random=False))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_small_log_reads_the_same(
    write: Write, source: list[Any], target: list[Any], name: str, format_: str, shuffle: random.Random
) -> None:
    logs = [log_of(source, name), log_of(target, name)]
    shuffled = [log.take(pa.array(shuffle.sample(range(len(log)), len(log)))) for log in logs]
    with TemporaryDirectory() as folder:
        given_logs = [
            write(log, f"{place}_{format_}" if "." in format_ else format_, Path(folder))
            for place, log in enumerate(shuffled)
        ]
        other = read_pair(*given_logs)
    expected = read_pair(*logs)
    assert_equal_pairs(other, expected)
    assert len(other.source) == len(source) + 2


def test_a_folder_and_a_glob_are_all_their_files(
    write: Write, small_source: pa.Table, small_target: pa.Table, tmp_path: Path
) -> None:
    whole = read_pair(small_source, small_target)
    write(small_source.slice(0, 2), "logs/part-1.parquet")
    write(small_source.slice(2), "logs/deep/part-2.parquet")
    (tmp_path / "logs" / "_SUCCESS").write_text("")
    (tmp_path / "logs" / "README.md").write_text("notes")
    for given_files in (tmp_path / "logs", str(tmp_path / "logs" / "**" / "*.parquet")):
        pair = read_pair(given_files, small_target)
        assert_equal_pairs(pair, whole)
        assert len(pair.inputs[0]["files"]) == 2


def test_names_with_glob_characters_are_read_as_files(
    write: Write, small_source: pa.Table, small_target: pa.Table
) -> None:
    for name in ("it's [1].parquet", "it's [1].csv", "it's [1].jsonl"):
        assert_equal_pairs(read_pair(write(small_source, name), small_target), read_pair(small_source, small_target))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_and_line_ends(
    small_source: pa.Table, small_target: pa.Table, tmp_path: Path, delimiter: str
) -> None:
    lines = [small_source.column_names, *([str(value) for value in row.values()] for row in small_source.to_pylist())]
    file = tmp_path / "s.csv"
    file.write_text("\ufeff" + "".join(delimiter.join(line) + "\r\n" for line in lines), encoding="utf-8", newline="")
    assert_equal_pairs(read_pair(file, small_target), read_pair(small_source, small_target))


def test_columns_are_mapped_found_and_left_out(small_source: pa.Table, small_target: pa.Table) -> None:
    odd = small_target.rename_columns(["who", "Item_ID", "TS", "price", "shop"])
    pair = read_pair(small_source, odd, target_columns=Columns(user="who", value=""))
    assert pair.target.columns == Columns("who", "Item_ID", "TS", "", "", "")
    assert pair.target.value is None
    general = Columns(user="who", time="", value="price")
    pair = read_pair(small_source, odd, columns=general, source_columns=Columns(user="user_id"))
    assert pair.source.time is None
    assert pair.target.time is None
    assert pair.source.value is None
    assert pair.target.value is not None


def test_csv_ids_are_integers_only_if_all_look_like_that(tmp_path: Path, small_target: pa.Table) -> None:
    texts = small_target.set_column(0, "user_id", pa.array(["007", "1", "2", "3", "1"]))
    file = tmp_path / "s.csv"
    file.write_text("user_id,item_id,timestamp\n007,1,1600000000\n1,-2,1600000000\n", encoding="utf-8")
    pair = read_pair(file, texts)
    assert pair.source.users.ids.type == pa.string()
    assert set(pair.source.users.ids.to_pylist()) == {"007", "1", "2", "3"}
    assert sorted(pair.source.items.ids.to_pylist()) == [-2, 1]
    assert pair.source.schema is not None
    assert pair.source.schema.field("user_id").type == pa.string()


def test_ids_beyond_int64_in_csv_stay_text(tmp_path: Path, small_target: pa.Table) -> None:
    file = tmp_path / "s.csv"
    file.write_text(f"user_id,item_id,timestamp\n1,{2**70},1600000000\n", encoding="utf-8")
    assert read_pair(file, small_target).source.items.ids.to_pylist() == [str(2**70)]


@pytest.mark.parametrize(
    "type_",
    [pa.int8(), pa.uint16(), pa.uint64(), pa.dictionary(pa.int8(), pa.int64())],
    ids=["int8", "uint16", "uint64", "dictionary"],
)
def test_integers_of_any_size_are_one_type(small_source: pa.Table, small_target: pa.Table, type_: pa.DataType) -> None:
    plain = small_source["user_id"].combine_chunks()
    users = plain.dictionary_encode() if pa.types.is_dictionary(type_) else plain.cast(type_)
    assert_equal_pairs(
        read_pair(small_source.set_column(0, "user_id", users), small_target), read_pair(small_source, small_target)
    )


@pytest.mark.parametrize(
    "type_", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_text_of_any_kind_is_one_type(
    write: Write, small_source: pa.Table, small_target: pa.Table, type_: pa.DataType
) -> None:
    def with_text(table: pa.Table, kind: pa.DataType) -> pa.Table:
        text = table["user_id"].cast(pa.string())
        return table.set_column(
            0, "user_id", text.dictionary_encode() if pa.types.is_dictionary(kind) else text.cast(kind)
        )

    expected = read_pair(with_text(small_source, pa.string()), with_text(small_target, pa.string()))
    odd = with_text(small_source, type_)
    assert_equal_pairs(read_pair(odd, with_text(small_target, type_)), expected)
    assert_equal_pairs(read_pair(write(odd, "odd.parquet"), with_text(small_target, type_)), expected)
    assert_equal_pairs(
        read_pair(small_source, small_target, ids="string"),
        read_pair(odd, with_text(small_target, type_), ids="string"),
    )


def test_categories_of_pandas_and_polars_are_text(small_source: pa.Table, small_target: pa.Table) -> None:
    expected = read_pair(small_source, small_target, ids="string")
    source = small_source.to_pandas().astype({"user_id": str, "item_id": str})
    target = pl.DataFrame(small_target).with_columns(pl.col("user_id", "item_id").cast(pl.String))
    source = source.astype({"user_id": "category"})
    pair = read_pair(source, target.with_columns(pl.col("user_id").cast(pl.Categorical)))
    assert events(pair.source) == events(expected.source)
    assert events(pair.target) == events(expected.target)


def test_json_text_that_looks_like_something_else_stays_text(tmp_path: Path, small_target: pa.Table) -> None:
    file = tmp_path / "s.jsonl"
    lines = [
        '{"user_id": 1, "item_id": "2020-01-01", "timestamp": "2020-09-13T12:26:40Z"}',
        '{"user_id": 2, "item_id": "2020-01-02", "timestamp": "2020-09-13T12:26:40Z"}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    pair = read_pair(file, small_target)
    assert sorted(pair.source.items.ids.to_pylist()) == ["2020-01-01", "2020-01-02"]
    assert pair.source.time is not None
    assert set(pair.source.time.tolist()) == {1_600_000_000 * 10**6}


def test_several_sources_become_one_log(small_source: pa.Table, small_target: pa.Table) -> None:
    video = pa.table({"user_id": [1, 5], "item_id": [10, 99], "timestamp": [1_600_000_007] * 2, "price": [3.0, 4.0]})
    pair = read_pair({"feed": small_source, "video": video}, small_target)
    assert_equal_logs(read_pair({"video": video, "feed": small_source}, small_target).source, pair.source)
    source = pair.source
    assert source.name == "source"
    assert source.items.domains == ("feed", "video")
    assert len(source) == len(small_source) + 2
    assert len(source.items) == 3 + 2  # item 10 of one domain is not item 10 of the other
    domain = source.items.domain[source.item]
    assert source.value is not None
    assert np.isnan(source.value[domain == 0]).all()
    assert sorted(source.value[domain == 1]) == [3.0, 4.0]
    assert [entry["name"] for entry in pair.inputs] == ["feed", "video", "target"]


def test_sources_of_different_id_types_and_columns(small_source: pa.Table, small_target: pa.Table) -> None:
    video = pa.table({"viewer": [1, 2], "item_id": ["10", "x"], "timestamp": [1_600_000_007] * 2})
    columns = {"video": Columns(user="viewer")}
    pair = read_pair({"feed": small_source, "video": video}, small_target, source_columns=columns)
    assert sorted(pair.source.items.ids.to_pylist()) == ["10", "10", "11", "12", "x"]


def test_one_named_source_keeps_its_name(small_source: pa.Table, small_target: pa.Table) -> None:
    assert read_pair({"feed": small_source}, small_target).source.name == "feed"


def test_labels_and_weights_of_some_sources(small_source: pa.Table, small_target: pa.Table) -> None:
    judged = pa.table(
        {
            "user_id": [1, 2],
            "item_id": [1, 2],
            "timestamp": [1_600_000_000] * 2,
            "label": [True, False],
            "weight": [0.5, 2.0],
        }
    )
    source = read_pair({"a": judged, "b": small_source}, small_target).source
    assert source.label is not None
    assert source.weight is not None
    domain = source.items.domain[source.item]
    assert sorted(source.label[domain == 0]) == [0, 1]
    assert (source.label[domain == 1] == 1).all()
    assert (source.weight[domain == 1] == 1).all()


def test_rows_with_nulls_are_dropped_and_counted_when_asked(small_source: pa.Table, small_target: pa.Table) -> None:
    holes = pa.concat_tables(
        [small_source, pa.table({"user_id": [None, 9], "item_id": [1, None], "timestamp": [1, 1]})],
        promote_options="permissive",
    )
    pair = read_pair(holes, small_target, drop_nulls=True)
    assert_equal_pairs(pair, read_pair(small_source, small_target))
    assert "2 rows of the source frame had nulls and were dropped." in pair.warnings


def test_a_log_may_hold_real_rows_marked_as_such(small_source: pa.Table, small_target: pa.Table) -> None:
    marked = small_target.append_column("is_synthetic", pa.array([False] * 5))
    assert_equal_pairs(read_pair(small_source, marked), read_pair(small_source, small_target))


def test_inputs_name_rows_bytes_and_digest(
    write: Write, small_source: pa.Table, small_target: pa.Table, tmp_path: Path
) -> None:
    file = Path(write(small_source, "s.parquet"))
    pair = read_pair(file, small_target)
    first, second = pair.inputs
    assert first["role"] == "source"
    assert first["files"] == [str(file)]
    assert first["rows"] == 6
    assert first["bytes"] == file.stat().st_size
    assert first["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    write(small_source.slice(0, 3), "one/a.csv")
    write(small_source.slice(3), "one/b.csv")
    write(small_source.slice(3), "two/1.csv")
    write(small_source.slice(0, 3), "two/2.csv")
    digests = {read_pair(tmp_path / name, small_target).inputs[0]["digest"] for name in ("one", "two")}
    assert len(digests) == 1
    assert second["rows"] == 5
    assert second["files"] == []


def test_the_digest_of_a_frame_is_that_of_its_content(small_source: pa.Table, small_target: pa.Table) -> None:
    def digest(target: Any) -> str:
        return str(read_pair(small_source, target).inputs[1]["digest"])

    same = {
        digest(small_target),
        digest(small_target.take([4, 2, 0, 1, 3])),
        digest(small_target.to_pandas()),
        digest(pl.DataFrame(small_target)),
    }
    assert len(same) == 1
    assert digest(small_target.set_column(1, "item_id", pa.array([102, 100, 101, 100, 101]))) not in same


def test_reading_leaves_a_relation_and_its_connection_usable(small_source: pa.Table, small_target: pa.Table) -> None:
    connection = duckdb.connect(":memory:")
    relation = connection.from_arrow(small_source)
    read_pair(relation, small_target)
    assert len(relation.to_arrow_table()) == len(small_source)


def test_pandas_index_and_odd_columns_do_not_matter(small_source: pa.Table, small_target: pa.Table) -> None:
    frame = small_source.to_pandas().set_index(pd.Index(range(100, 106), name="row"))
    frame["mixed"] = [1, "a", None, 2.5, {}, []]
    assert_equal_pairs(read_pair(frame, small_target), read_pair(small_source, small_target))


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "overlap", "events_"),
    [
        ("amazon_food_kitchen", 7144, (89_885, 83_663)),
        ("ciao_c10_c24", 1544, (30_151, 14_838)),
        ("completejourney_grocery_drug", 2396, (926_742, 155_046)),
        ("kuairand_t9_t4", 1000, (492_821, 80_596)),
    ],
)
def test_real_pairs_are_read(folder: str, overlap: int, events_: tuple[int, int]) -> None:
    """Rows are those of the data's own README; overlap users need a positive event in both domains."""
    if not (DATA / folder).is_dir():
        pytest.skip("the shared data folder is not here")
    columns = Columns(time="position") if folder.startswith("kuairand") else None
    files = [DATA / folder / f"{name}.parquet" for name in ("source", "target", "items")]
    pair = read_pair(*files[:2], items=files[2], columns=columns)
    assert (len(pair.source), len(pair.target)) == events_
    assert len(pair.overlap_users) == overlap
    assert pair.items is not None
    assert pair.items.target["category"].null_count == 0
