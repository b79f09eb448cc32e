"""Logs whose files are sound, but whose columns, ids, times or numbers are not, or look as if they were not."""

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tests.trust.battery import Case, Desk, column, first, mapped, with_both, with_source, with_target


def _ids(made: Any, kind: pa.DataType | None = None, suffix: str = "parquet") -> Case:
    """Return a case whose user ids, in both logs, are made of the integers; all must come back as they are."""

    def check(desk: Desk) -> None:
        known = set(desk.target["user_id"].to_pylist())
        assert set(desk.written()["user_id"].to_pylist()) <= known

    return with_both(mapped("user_id", made, kind), suffix=suffix, check=check)


def _items(made: Any) -> Case:
    """Return a case whose target item ids are made of the integers."""
    return with_target(mapped("item_id", made))


def _renamed(*names: str) -> Any:
    return lambda table: table.rename_columns([*names, *table.column_names[len(names) :]])


def _times(values: Any) -> Any:
    return column("timestamp", lambda old: values(len(old)))


def _years(*years: int) -> Any:
    """Return a change: timestamps in these years, in turn."""
    return _times(lambda n: pa.array([dt.datetime(years[x % len(years)], 1, 1 + x % 28) for x in range(n)]))


def _in_year(year: int) -> Any:
    def check(desk: Desk) -> None:
        found = desk.written()["timestamp"].cast(pa.timestamp("us"))
        assert set(pc.year(found).to_pylist()) == {year}

    return check


def _comes_back(name: str) -> Any:
    """Return a check that a column holds values of the target log's only, in its type."""

    def check(desk: Desk) -> None:
        made = desk.written()[name]
        assert made.type == desk.target[name].type
        assert not made.null_count or desk.target[name].null_count

    return check


def _times_come_back(desk: Desk) -> None:
    known = set(desk.source["timestamp"].cast(pa.int64()).to_pylist())
    assert set(desk.written()["timestamp"].cast(pa.int64()).to_pylist()) <= known


def _nested(depth: int) -> pa.DataType:
    kind = pa.int64()
    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


LONG = "x" * 10_000_000

IDS = {
    "line breaks in ids": _ids(lambda x: f"u\n{x}\r\n"),
    "tabs and quotes in ids": _ids(lambda x: f"\t\"u\",'{x}'\\"),
    "emoji ids": _ids(lambda x: "\U0001f469‍\U0001f680" * x),
    "ids right to left": _ids(lambda x: f"\u202e{x}\u202c\u0627"),
    "ids with zero bytes": _ids(lambda x: f"\0{x}\0"),
    "ids that differ in one zero byte": _ids(lambda x: "u" + "\0" * x),
    "ids that differ in spaces": _ids(lambda x: "u" + " " * x),
    "ids that differ in composition": _ids(lambda x: ("é" if x % 2 else "e\u0301") + str(x // 2)),
    "ids that differ in case": _ids(lambda x: f"{x:b}".replace("1", "a").replace("0", "A")),
    "an empty id": _ids(lambda x: "" if x == 1 else str(x)),
    "ids called null": _ids(
        lambda x: ("null", "NULL", "None", "nan", "NaN", "NA", "", "-", "0", "-0", "+0", "00")[x - 1]
    ),
    "ids called null, as CSV": with_both(
        mapped(
            "user_id", lambda x: ("null", "NULL", "None", "nan", "NaN", "NA", "N/A", "-", "0", "-0", "+0", "00")[x - 1]
        ),
        suffix="csv",
    ),
    "ids with leading zeros, as CSV": with_both(mapped("user_id", lambda x: f"{x:04d}"), suffix="csv"),
    "ids with line breaks, as CSV": with_both(mapped("user_id", lambda x: f'u\n"{x}",'), suffix="csv"),
    "ids that are formulas": _ids(lambda x: f'=HYPERLINK("http://x/{x}")'),
    "ids that are markup": _ids(lambda x: f"<script>alert({x})</script>[bold]{{{{7*7}}}}"),
    "ids that are escapes": _ids(lambda x: f"\x1b]0;owned{x}\x07\x1b[2J"),
    "ids that are paths": _ids(lambda x: f"../../../../etc/passwd{x}"),
    "ids of 10 MB": with_both(mapped("user_id", lambda x: LONG if x == 1 else str(x)), suffix="parquet"),
    "item ids of 10 MB": _items(lambda x: LONG if x == 100 else str(x)),
    "the largest integers": _ids(lambda x: 2**63 - x),
    "the smallest integers": _ids(lambda x: -(2**63) + x - 1),
    "integers beyond int64": with_source(first("user_id", 2**63, pa.uint64()), "9223372036854775808"),
    "small unsigned integers": _ids(lambda x: x, pa.uint64()),
    "integers of 8 bits": _ids(lambda x: x, pa.int8()),
    "integers of 100 digits, as CSV": with_both(mapped("user_id", lambda x: str(10**100 + x)), suffix="csv"),
    "user ids as dictionaries": with_both(column("user_id", lambda old: old.cast(pa.string()).dictionary_encode())),
    "user ids as large text": with_both(column("user_id", lambda old: old.cast(pa.string()).cast(pa.large_string()))),
    "user ids as views": with_both(column("user_id", lambda old: old.cast(pa.string()).cast(pa.string_view()))),
    "user ids with decimals": with_both(mapped("user_id", float), "has the type double"),
    "user ids that are -0.0 and NaN": with_both(mapped("user_id", lambda x: (-0.0, float("nan"))[x % 2]), "user_id"),
    "user ids that are decimals": with_both(column("user_id", lambda old: old.cast(pa.decimal128(20, 0))), "decimal"),
    "user ids that are booleans": with_both(mapped("user_id", lambda x: x % 2 == 0), "has the type bool"),
    "user ids that are dates": with_both(mapped("user_id", lambda x: dt.date(2020, 1, x)), "has the type date"),
    "user ids that are bytes": with_both(mapped("user_id", lambda x: b"%d" % x), "has the type binary"),
    "user ids that are lists": with_both(mapped("user_id", lambda x: [x]), "has the type list"),
    "user ids that are lists of lists": with_both(
        column("user_id", lambda old: pa.nulls(len(old), _nested(50))), "user_id"
    ),
    "user ids that are maps": with_both(
        mapped("user_id", lambda x: [("a", x)], pa.map_(pa.string(), pa.int64())), "map"
    ),
    "user ids that are structs": with_both(mapped("user_id", lambda x: {"a": x}), "has the type struct"),
    "user ids that are durations": with_both(column("user_id", lambda old: old.cast(pa.duration("s"))), "duration"),
    "user ids that are null": with_both(column("user_id", lambda old: pa.nulls(len(old))), "nulls"),
    "one null id": with_source(first("user_id", None), "1 null (row 1)"),
    "one null id, dropped": with_source(first("user_id", None), None, "--drop-nulls"),
    "text in one log, integers in the other": with_source(mapped("user_id", str), "user ids are text"),
    "text in one log, integers in the other, read as text": with_source(
        mapped("user_id", str), None, "--ids", "string"
    ),
    "no user in both logs": with_source(mapped("user_id", lambda x: x + 100), "no user has positive events in both"),
    "one user only": with_source(mapped("user_id", lambda x: 1), makes_events=False),
}

COLUMNS = {
    "no user column": with_source(_renamed("who"), "no user column"),
    "no item column": with_source(_renamed("user_id", "what"), "no item column"),
    "a name twice": with_source(lambda table: table.append_column("user_id", table["user_id"]), "'user_id' twice"),
    "names that differ in case": with_source(
        lambda table: table.append_column("User_ID", table[0]), "differs only in case"
    ),
    "an empty name": with_target(lambda table: table.append_column("", table[0])),
    "a name with a line break": with_target(lambda table: table.append_column("a\nb\x1b[31m", table[0])),
    "a name of 100,000 letters": with_source(_renamed("u" * 100_000), "no user column"),
    "names with escapes": with_source(_renamed("\x1b[31muser\x1b[0m"), "no user column"),
    "names with markup": with_source(_renamed("[red]user[/red]"), "no user column"),
    "names with SQL": with_source(_renamed('user"; DROP TABLE x; --'), "no user column"),
    "SQL as the name of a column, as CSV": with_both(
        _renamed("user_id", "item_id", 'time", 1 AS "x'), None, "--time", 'time", 1 AS "x', suffix="csv"
    ),
    "5,000 columns": with_target(
        lambda table: pa.Table.from_arrays(
            [*table.columns, *[table[0]] * 5000], [*table.column_names, *(f"c{x}" for x in range(5000))]
        ),
        check=lambda desk: None,
    ),
    "a nested column of no role": with_target(column("shop", lambda old: pa.nulls(len(old), _nested(20)))),
    "a struct of no role": with_target(column("shop", lambda old: [{"a": {"b": [1]}}] * len(old))),
    "a map of no role": with_target(
        column("shop", lambda old: pa.array([[("a", 1)]] * len(old), pa.map_(pa.string(), pa.int64())))
    ),
    "bytes of no role": with_target(column("shop", lambda old: [b"\xff\xfe"] * len(old))),
    "durations of no role": with_target(column("shop", lambda old: pa.array([1] * len(old), pa.duration("ns")))),
    "decimals of no role": with_target(column("shop", lambda old: [decimal.Decimal("1e-20")] * len(old))),
    "nulls of no role": with_target(column("shop", lambda old: pa.nulls(len(old)))),
    "a dictionary of no role": with_target(column("shop", lambda old: old.dictionary_encode())),
    "a column that synthetic events need": with_target(
        lambda table: table.append_column("confidence", table[0]), "'confidence'"
    ),
    "synthetic rows": with_target(
        lambda table: table.append_column("is_synthetic", pa.array([True] * len(table))), "synthetic events"
    ),
    "a flag that is a list": with_target(
        lambda table: table.append_column("is_synthetic", pa.array([[True]] * len(table))), "is_synthetic"
    ),
    "a flag that is bytes": with_target(
        lambda table: table.append_column("is_synthetic", pa.array([b"\xff"] * len(table))), "is_synthetic"
    ),
    "one row": with_source(lambda table: table.slice(0, 1), makes_events=False),
    "no rows": with_target(lambda table: table.slice(0, 0), "has no rows"),
}

TIMES = {
    "year 1": with_both(_years(1), check=_in_year(1)),
    "year 9999": with_both(_years(9999), check=_in_year(9999)),
    "years 1 and 9999": with_both(_years(1, 9999)),
    "dates of year 1": with_both(_times(lambda n: [dt.date(1, 1, 1 + x % 28) for x in range(n)]), check=_in_year(1)),
    "dates of 64 bits beyond all years": with_both(
        _times(lambda n: pa.array([2**62] * n).cast(pa.int64()).view(pa.date64())), "timestamp"
    ),
    "milliseconds beyond all years": with_both(
        _times(lambda n: pa.array([2**62] * n).cast(pa.timestamp("ms"))), "timestamp"
    ),
    "microseconds at the end of int64": with_both(
        _times(lambda n: pa.array([2**63 - 1 - x for x in range(n)]).cast(pa.timestamp("us"))), check=_times_come_back
    ),
    "microseconds at the beginning of int64": with_both(
        _times(lambda n: pa.array([-(2**63) + x for x in range(n)]).cast(pa.timestamp("us"))), check=_times_come_back
    ),
    "nanoseconds at the end of int64": with_both(
        _times(lambda n: pa.array([2**63 - 1 - x for x in range(n)]).cast(pa.timestamp("ns"))), check=_in_year(2262)
    ),
    "integers at the end of int64": with_both(_times(lambda n: [2**63 - 1 - x for x in range(n)])),
    "integers at both ends of int64": with_both(
        _times(lambda n: [(2**63 - 1, -(2**63))[x % 2] for x in range(n)]), "no time in ns"
    ),
    "integers at both ends, said to be an order": with_both(
        _times(lambda n: [(2**63 - 1, -(2**63))[x % 2] for x in range(n)]), "no time", "--time-unit", "order"
    ),
    "integers said to be seconds": with_both(_times(lambda n: [2**62] * n), "no time in s", "--time-unit", "s"),
    "before 1970": with_both(_times(lambda n: [-(10**9) + x for x in range(n)])),
    "all at one instant": with_both(_times(lambda n: [1_600_000_000] * n)),
    "all zero": with_both(_times(lambda n: [0] * n)),
    "NaN": with_source(_times(lambda n: [float("nan")] + [1.6e9] * (n - 1)), "1 null (row 1)"),
    "infinite": with_source(_times(lambda n: [float("inf")] + [1.6e9] * (n - 1)), "inf"),
    "-0.0": with_both(_times(lambda n: [-0.0] * n)),
    "numbers with decimals": with_source(_times(lambda n: [1.6e9 + 0.5] * n), "1600000000.5"),
    "numbers of 1e300": with_source(_times(lambda n: [1e300] * n), "1e+300"),
    "booleans": with_source(_times(lambda n: [True] * n), "has the type bool"),
    "lists": with_source(_times(lambda n: [[1]] * n), "has the type list"),
    "times of day": with_source(_times(lambda n: [dt.time(1, 2, 3)] * n), "has the type time"),
    "text that is no time": with_source(_times(lambda n: ["later"] * n), "the text 'later'"),
    "the 30th of February": with_source(_times(lambda n: ["2020-02-30"] * n), "the text '2020-02-30'"),
    "the 13th month": with_source(_times(lambda n: ["2020-13-01"] * n), "the text '2020-13-01'"),
    "hour 25": with_source(_times(lambda n: ["2020-01-01T25:00:00"] * n), "the text"),
    "text of year 1": with_both(_times(lambda n: ["0001-01-01"] * n)),
    "text of year 9999": with_both(_times(lambda n: ["9999-12-31T23:59:59Z"] * n)),
    "text with a leap second": with_source(_times(lambda n: ["2016-12-31T23:59:60Z"] * n), "the text"),
    "integers of 30 digits as text": with_source(_times(lambda n: ["9" * 30] * n), "timestamp"),
    "text and numbers mixed": with_source(_times(lambda n: ["1600000000", "2020-01-01"] * (n // 2)), "the text"),
    "escapes in the text": with_source(_times(lambda n: ["\x1b[2J\x07now"] * n), "now"),
    "a text of 10 MB": with_source(_times(lambda n: ["9" * 10_000_000] + ["1"] * (n - 1)), "timestamp"),
    "a zone": with_both(
        _times(lambda n: pa.array(range(n)).cast(pa.timestamp("us", "Asia/Kathmandu"))), check=_comes_back("timestamp")
    ),
    "a zone that is not there": with_both(
        _times(lambda n: pa.array(range(n)).cast(pa.timestamp("us", "Mars/Olympus"))), check=_comes_back("timestamp")
    ),
    "an order beside times": with_source(_times(lambda n: list(range(n))), "look like a plain order"),
    "no time in one log": with_source(lambda table: table.drop_columns(["timestamp"]), "has no time column"),
    "no time in both logs": with_both(lambda table: table.drop_columns(["timestamp"])),
    "nulls, dropped": with_source(first("timestamp", None), None, "--drop-nulls"),
}


def _numbers(role: str, values: Any, says: str | None = None, kind: pa.DataType | None = None, **others: Any) -> Case:
    """Return a case of a target log with a column `odd` that has a role."""
    change = column("odd", lambda old: pa.array(values, kind))
    return with_target(
        lambda table: change(table.append_column("odd", table[0])), says, "--target-columns", f"{role}=odd", **others
    )


N = 36
NUMBERS = {
    "values NaN": _numbers("value", [float("nan")] + [1.0] * (N - 1), "1 null (row 1)"),
    "values infinite": _numbers("value", [float("-inf")] + [1.0] * (N - 1), "-inf"),
    "values -0.0": _numbers("value", [-0.0] * N),
    "values of 1e308": _numbers("value", [1e308, -1e308] * (N // 2), "1e+308"),
    "values of 5e-324": _numbers("value", [5e-324] * N),
    "values at the ends of int64": _numbers("value", [2**63 - 1, -(2**63)] * (N // 2)),
    "values beyond int64": _numbers("value", [2**64 - 1] * N, kind=pa.uint64()),
    "values as decimals of 38 digits": _numbers("value", [decimal.Decimal("9" * 38)] * N),
    "values as halves": _numbers("value", np.ones(N, np.float16)),
    "values as text": _numbers("value", ["1e5"] * N),
    "values as words": _numbers("value", ["much"] * N, "the text 'much'"),
    "values in hexadecimal": _numbers("value", ["0x10"] * N, "the text '0x10'"),
    "values with thousands": _numbers("value", ["1,000"] * N, "the text '1,000'"),
    "values that are booleans": _numbers("value", [True] * N, "has the type bool"),
    "values that are lists": _numbers("value", [[1.0]] * N, "has the type list"),
    "values that are null": _numbers("value", [None] * N, "nulls"),
    "weights below zero": _numbers("weight", [-1.0] + [1.0] * (N - 1), "-1"),
    "weights that are zero": _numbers("weight", [0.0] * N, "nothing but zeros"),
    "weights -0.0": _numbers("weight", [-0.0] * N, "nothing but zeros"),
    "weights NaN": _numbers("weight", [float("nan")] * N, "nulls"),
    "weights of 1e300": _numbers("weight", [1e300] * N, "1e+300"),
    "weights of 3e38": _numbers("weight", [3e38] * N),
    "weights of 1e-45": _numbers("weight", [1e-45] * N),
    "labels 0, 1 and 2": _numbers("label", [0, 1, 2] * (N // 3), "neither 0 nor 1"),
    "labels of one kind": _numbers("label", [0] * N, "only the label 0"),
    "labels 0.5": _numbers("label", [0.5, 1.0] * (N // 2), "neither 0 nor 1"),
    "labels as words": _numbers("label", ["yes", "no"] * (N // 2), "the text 'yes'"),
    "labels as true and false": _numbers("label", ["TRUE", "False"] * (N // 2)),
    "labels -0.0 and 1": _numbers("label", [-0.0, 1.0] * (N // 2)),
    "labels NaN": _numbers("label", [float("nan"), 1.0] * (N // 2), "nulls"),
    "labels that are structs": _numbers("label", [{"a": 1}] * N, "struct"),
}
