"""Source logs as Spark frames: find their columns, check them in one scan, and bring them into the common form.

One aggregate per log finds invalid rows before anything is shuffled. Text in columns of numbers or times is refused,
because Spark and the local engine would parse it by different rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from scalr.engines.spark.cluster.form import TYPES, SourceForm
from scalr.foundation import InputError, SchemaError
from scalr.logs import (
    Columns,
    Misfits,
    ReadRules,
    RowCounts,
    Tabular,
    TimeUnit,
    check_column_names,
    factor_of,
    find_columns,
    find_files,
    refuse_generated_log,
    refuse_rows,
    synthetic_flag,
    unit_of_integers,
)

_NEUTRAL = {
    "label": "1",
    "value": "double('NaN')",
    "weight": "1",
}  # for a log that lacks the column of another log
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """A source log that has passed the checks.

    Attributes:
        name: Name of the domain.
        title: Name of the log in errors.
        frame: The user's frame.
        columns: Column of every role; "" for none.
        types: Arrow type of every role's column.
        schema: All columns.
        time_unit: Unit of times; None without time.
        rows: Rows of the log.
        kept: Rows without nulls.
    """

    name: str
    title: str
    frame: Any
    columns: Columns
    types: Mapping[str, pa.DataType]
    schema: pa.Schema
    time_unit: TimeUnit | None
    rows: int
    kept: int


def check_source(frame: Any, name: str, general: Columns, special: Columns, rules: ReadRules) -> SourceFrame:
    """Find the columns of a source log and check their values, in one scan.

    Raises:
        SchemaError: If a column is missing, or has an unusable type or invalid values.
    """
    from pyspark.sql.types import StructType

    title = f"the {name} frame"
    check_column_names(frame.columns, title)
    if synthetic_flag(frame.columns) is None:
        refuse_generated_log(title, frame.columns)
    role_types = {one.name: one.dataType for one in frame.schema}
    known = pa.schema([pa.field(one.name, _arrow_type(StructType([one]))) for one in frame.schema])
    columns = find_columns(Tabular(title, "frame", known), general, special)
    chosen = {role: column for role, column in columns.roles() if column}
    types = {role: known.field(column).type for role, column in chosen.items()}
    for role, column in chosen.items():
        _check_type(role, f"column '{column}' of {title}", role_types[column])
    counted = frame.agg(*_aggregates(chosen, types, frame.columns)).first().asDict()
    n_rows, n_kept = int(counted["rows"]), int(counted["kept"] or 0)
    nulls = {role: Misfits(int(counted[f"nulls {role}"])) for role in chosen}
    n_synthetic = int(counted.get("synthetic") or 0)
    rows = RowCounts(title, n_rows, n_kept, nulls, chosen, n_synthetic, synthetic_flag(frame.columns))
    refuse_rows(rows, drop_nulls=rules.drop_nulls)
    _refuse_values(title, chosen, counted, n_kept)
    unit = None
    if "time" in chosen:
        unit = _unit(f"column '{chosen['time']}' of {title}", types["time"], counted, rules.time_unit)
    return SourceFrame(name, title, frame, columns, types, known, unit, n_rows, n_kept)


def _arrow_type(one: Any) -> pa.DataType:
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import to_arrow_schema

    try:
        return to_arrow_schema(one, timezone="UTC").field(0).type
    except PySparkException:  # a column without a role may have a type that Arrow lacks
        return pa.null()


def _check_type(role: str, title: str, kind: Any) -> None:
    from pyspark.sql import types as t

    numbers = (t.ByteType, t.ShortType, t.IntegerType, t.LongType, t.FloatType, t.DoubleType, t.DecimalType)
    allowed: dict[str, tuple[tuple[Any, ...], str]] = {
        "user": ((*numbers[:4], t.StringType), "ids that are integers or text"),
        "time": (
            (*numbers, t.DateType, t.TimestampType, t.TimestampNTZType),
            "times: integers, dates or timestamps",
        ),
        "label": ((*numbers, t.BooleanType), "labels 0 and 1"),
        "value": (numbers, "numbers"),
    }
    allowed["item"], allowed["weight"] = allowed["user"], allowed["value"]
    classes, expected = allowed[role]
    if not isinstance(kind, classes):
        fix = "cast it to integers or text" if role in ("user", "item") else "cast the column in Spark first"
        raise SchemaError(f"{title} has the type {kind.simpleString()}", expected=expected, fix=fix)


def _quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _is_missing(column: str, kind: pa.DataType) -> str:
    name = _quoted(column)
    return f"({name} IS NULL OR isnan({name}))" if pa.types.is_floating(kind) else f"({name} IS NULL)"


def _aggregates(chosen: Mapping[str, str], types: Mapping[str, pa.DataType], names: list[str]) -> list[Any]:
    """Return the aggregates that check a log, as columns of one row."""
    from pyspark.sql import functions as f

    missing = {role: _is_missing(column, types[role]) for role, column in chosen.items()}
    kept = f"NOT ({' OR '.join(missing.values())})"
    wanted = {"rows": "count(1)", "kept": f"count_if({kept})"}
    wanted |= {f"nulls {role}": f"count_if({test})" for role, test in missing.items()}
    flag = synthetic_flag(names)
    if flag is not None:
        wanted["synthetic"] = f"count_if(lower(CAST({_quoted(flag)} AS STRING)) IN ('true', 't', '1', '1.0'))"
    for role in ("label", "value", "weight"):
        if role in chosen:
            number = _number(chosen[role])
            wrong = {
                "label": f"NOT {number} IN (0, 1)",
                "value": f"NOT abs({number}) < double('Infinity')",
                "weight": f"NOT ({number} >= 0 AND {number} <= 3.4028234663852886E38)",
            }[role]
            wanted[f"wrong {role}"] = f"count_if({kept} AND ({wrong}))"
            wanted[f"example {role}"] = f"first(CASE WHEN {kept} AND ({wrong}) THEN {number} END, true)"
            wanted[f"above {role}"] = f"count_if({kept} AND {number} > 0)"
    if "time" in chosen and (_is_whole(types["time"]) or _has_decimals(types["time"])):
        name = _quoted(chosen["time"])
        if _has_decimals(types["time"]):
            broken = f"{kept} AND ({name} <> floor({name}) OR abs({name}) >= 9.2e18)"
            wanted["broken time"] = f"count_if({broken})"
            wanted["example time"] = f"CAST(first(CASE WHEN {broken} THEN {name} END, true) AS STRING)"
        whole = f"CAST({name} AS BIGINT)" if _is_whole(types["time"]) else f"try_cast({name} AS BIGINT)"
        wanted["first time"] = f"min(CASE WHEN {kept} THEN {whole} END)"
        wanted["last time"] = f"max(CASE WHEN {kept} THEN {whole} END)"
    return [f.expr(expression).alias(name) for name, expression in wanted.items()]


def _number(column: str) -> str:
    """Return a column as a double; a boolean as 0 and 1."""
    return f"CAST({_quoted(column)} AS DOUBLE)"


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _has_decimals(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _refuse_values(title: str, chosen: Mapping[str, str], counted: Mapping[str, Any], n_kept: int) -> None:
    """Refuse a log with labels, values, weights or times that cannot be used."""
    expected = {
        "label": "labels 0 and 1",
        "value": "finite numbers",
        "weight": "finite weights, at least 0",
        "time": "whole numbers, dates or timestamps",
    }
    for role, words in expected.items():
        if n := counted.get(f"{'broken' if role == 'time' else 'wrong'} {role}"):
            raise SchemaError(
                f"column '{chosen[role]}' of {title} has {n} values such as {counted[f'example {role}']}",
                expected=words,
                fix="correct or drop those rows, or leave the column out with an empty name",
            )
    if "weight" in chosen and not counted["above weight"]:
        raise SchemaError(
            f"column '{chosen['weight']}' of {title} holds nothing but zeros",
            expected="at least one weight above 0",
            fix="check the column, or remove it with --weight ''",
        )
    if "label" in chosen and counted["above label"] in (0, n_kept):
        raise SchemaError(
            f"column '{chosen['label']}' of {title} has only the label {int(counted['above label'] > 0)}",
            expected="both labels, 0 and 1",
            fix="leave the column out (an empty name): then every event is positive",
        )


def _unit(title: str, kind: pa.DataType, counted: Mapping[str, Any], named: str | None) -> TimeUnit:
    """Return the unit of times, by the rules of the local engine."""
    if pa.types.is_date(kind):
        return TimeUnit("date", "", kind)
    if pa.types.is_timestamp(kind):
        return TimeUnit("timestamp", kind.unit, kind)
    largest = max(abs(int(counted["first time"])), abs(int(counted["last time"])))
    unit = unit_of_integers(largest, kind)
    if named is not None:
        unit = TimeUnit("order", "", kind) if named == "order" else TimeUnit("integer", named, kind)
    if largest * (factor_of(unit) or 1) >= 2**63:
        raise SchemaError(
            f"{title} goes up to {largest}, which is no time in {unit.unit}",
            expected="times between the years -290000 and 290000",
            fix="name the right unit with --time-unit s, ms, us, ns or order",
        )
    return unit


def unify_sources(logs: list[SourceFrame], *, as_text: bool) -> tuple[Any, SourceForm]:
    """Return the events of all logs as one frame in the common form, and the form.

    The frame has the columns `domain` (a place among the domains), then those of the form's roles: users and items as
    bigint or string, times in microseconds or the plain order, labels, values, weights.

    Args:
        logs: The logs, by name.
        as_text: Read all ids as text.
    """
    roles = tuple(role for role in TYPES if any(role in log.types for log in logs))
    text = {
        role: as_text or any(not _is_whole(log.types[role]) for log in logs) for role in ("user", "item")
    }  # ids become text where the logs differ in type
    frames = []
    for number, log in enumerate(logs):
        frame = log.frame
        chosen = {role: column for role, column in log.columns.roles() if column}
        missing = " OR ".join(_is_missing(column, log.types[role]) for role, column in chosen.items())
        if log.kept < log.rows:
            frame = frame.where(f"NOT ({missing})")
        wanted = [f"CAST({number} AS SMALLINT) AS domain"]
        for role in roles:
            kind = "string" if text.get(role) else TYPES[role]
            wanted.append(f"CAST({_expression(log, role, chosen.get(role))} AS {kind}) AS {role}")
        frames.append(frame.selectExpr(*wanted))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionAll(frame)
    first, several = logs[0], len(logs) > 1
    form = SourceForm(
        name="source" if several else first.name,
        domains=tuple(log.name for log in logs),
        roles=roles,
        text_users=text["user"],
        text_items=text["item"],
        columns=first.columns,
        time_unit=first.time_unit,
        schema=None if several else first.schema,
    )
    return whole, form


def _expression(log: SourceFrame, role: str, column: str | None) -> str:
    """Return the SQL expression of a role's values."""
    if column is None:
        return _NEUTRAL[role]
    name = _quoted(column)
    if role in ("user", "item"):
        return name
    if role == "label":
        return _number(column)
    if role in ("value", "weight"):
        return f"({_number(column)} + double(0))"  # makes -0.0 and 0.0 the same bytes
    unit, kind = log.time_unit, log.types["time"]
    assert unit is not None
    if unit.kind == "date":
        return f"unix_date({name}) * {_DAY}L"
    if unit.kind == "timestamp" and kind.tz is not None:
        return f"unix_micros({name})"
    if unit.kind == "timestamp":  # without a zone: UTC, whatever the session's zone is
        clock = f"hour({name}) * 3600000000L + minute({name}) * 60000000L + extract(SECOND FROM {name}) * 1000000"
        return f"unix_date(CAST({name} AS DATE)) * {_DAY}L + {clock}"
    whole = f"CAST({name} AS BIGINT)"
    factor = factor_of(unit)
    if factor is None:
        return f"(({whole} - pmod({whole}, 1000L)) DIV 1000L)"
    return whole if unit.kind == "order" else f"{whole} * {factor}L"


def is_uri(files: str) -> bool:
    """Return whether `files` is a URI such as s3a://bucket/folder, which Spark reads itself."""
    scheme, separator, _ = files.partition("://")
    return bool(separator) and scheme.isalnum()


def source_frame(session: Any, files: str) -> Any:
    """Return a source log as a frame of Spark; a folder may be partitioned (date=2026-01-31/...).

    Raises:
        InputError: If there are no such files, or they are not Parquet.
    """
    if not is_uri(files):
        paths, format_ = find_files(files)
        if format_ != "Parquet":
            raise InputError(
                f"the source '{files}' holds {format_}, whose types Spark and scalr would guess by different rules",
                expected="Parquet files for --engine spark",
                fix="write it as Parquet, or pass a frame with types to scalr.generate",
            )
        if not Path(files).is_dir():
            return session.read.parquet(*(str(file.absolute()) for file in paths))
        files = str(Path(files).absolute())
    return session.read.parquet(files)
