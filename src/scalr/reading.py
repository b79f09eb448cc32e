"""Read one target log and one or more source logs into a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.domain import Codes, EventLog, Floats, Pair, Times, TimeUnit, Vocabulary
from scalr.engines.hashes import files_digest, table_digest
from scalr.engines.local import Tabular, open_table, read_columns
from scalr.errors import SchemaError, nearest_name
from scalr.items import read_items
from scalr.roles import (
    Column,
    check_id_type,
    count_true,
    nulls_in,
    plain_column,
    read_ids,
    read_labels,
    read_times,
    read_values,
    read_weights,
)
from scalr.schema import COMMON_NAMES, Columns
from scalr.summary import weak_points
from scalr.vocabulary import IdColumn, encode

Source = str | Path | Any
"""A path, glob or folder (Parquet, CSV, JSON lines), or a frame (pandas, Polars, PyArrow, DuckDB relation)."""

_OPTIONAL = ("label", "value", "weight")
_IS_SYNTHETIC = "is_synthetic"


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """One log as read: arrays of shape (n,) in the order of its rows."""

    name: str
    table: Tabular
    columns: Columns
    user: IdColumn
    item: IdColumn
    time: Times | None
    time_unit: TimeUnit | None
    label: npt.NDArray[np.int8] | None
    value: Floats | None
    weight: npt.NDArray[np.float32] | None
    entry: Mapping[str, Any]
    dropped: int

    def __len__(self) -> int:
        return len(self.user.place)


def read_pair(
    source: Source | Mapping[str, Source],
    target: Source,
    *,
    items: Source | None = None,
    columns: Columns | None = None,
    source_columns: Columns | Mapping[str, Columns] | None = None,
    target_columns: Columns | None = None,
    time_unit: Literal["s", "ms", "us", "ns", "order"] | None = None,
    ids: Literal["auto", "string"] = "auto",
    drop_nulls: bool = False,
) -> Pair:
    """Read logs from files or frames.

    The same events give the same pair, whatever the format and the order of the rows.

    Args:
        source: A path, glob or folder (Parquet, CSV, CSV.gz, JSON lines), or a frame (pandas, Polars, PyArrow, DuckDB
            relation); or a mapping from names of source domains to these.
        target: Likewise, one log.
        items: Likewise, a table with one row per item (and domain), or None.
        columns: Names of the columns in all logs; those not named are found by common names. Label, value and weight
            need not be in every log; a log without them counts as all positive, unknown (NaN) and 1.
        source_columns: Names that differ in the sources; a mapping gives them by source domain.
        target_columns: Names that differ in the target.
        time_unit: Unit of integer times; None guesses it from their size, for each log. Dates, timestamps and ISO text
            say it themselves.
        ids: "string" reads all ids as text; "auto" keeps their types, and takes the ids of a CSV file for integers if
            all of them look like that.
        drop_nulls: Drop rows with a null in a column that is read, and count them in the warnings.

    Raises:
        InputError: If files are missing or of an unknown format.
        SchemaError: If columns are missing or hold what they must not.
    """
    sources = dict(sorted(source.items())) if isinstance(source, Mapping) else {"source": source}
    if not sources or "target" in sources or not all(sources):
        found = ", ".join(repr(name) for name in sources) or "no source"
        raise SchemaError(
            f"the source domains are named {found}",
            expected="one or more names, none of them 'target'",
            fix="rename the sources",
        )
    general = columns or Columns()
    named = (
        dict(source_columns)
        if isinstance(source_columns, Mapping)
        else dict.fromkeys(sources, source_columns or Columns())
    )
    if unknown := sorted(set(named) - set(sources)):
        raise SchemaError(
            f"columns are given for the source '{unknown[0]}'",
            expected=f"one of {', '.join(sources)}",
            fix="correct the name",
        )

    def read(given: Any, name: str, role: str, special: Columns | None) -> _Log:
        table = open_table(given, name)
        found = find_columns(table, general, special or Columns(), is_target=role == "target")
        return _read_log(table, name, role, found, time_unit, as_text=ids == "string", drop_nulls=drop_nulls)

    logs = [read(given, name, "source", named.get(name)) for name, given in sources.items()]
    goal = read(target, "target", "target", target_columns)
    _check_named(general, [*logs, goal])
    _check_together([*logs, goal])
    _check_files([*logs, goal])

    users, user_codes = encode([log.user for log in (*logs, goal)])
    source_items, source_codes = encode([log.item for log in logs], tuple(sources))
    target_items, target_codes = encode([goal.item])
    source_log = _events(logs, users, user_codes[:-1], source_items, source_codes)
    target_log = _events([goal], users, user_codes[-1:], target_items, target_codes)
    entries = tuple(log.entry for log in (*logs, goal))
    pair = Pair(source_log, target_log, inputs=entries, warnings=_dropped([*logs, goal]))
    if not len(pair.overlap_users):
        found = f"source users are such as {_an_id(logs[0].user)}, target users such as {_an_id(goal.user)}"
        raise SchemaError(
            f"no user has positive events in both domains ({found})",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    if items is not None:
        names = [name for name in dict.fromkeys((goal.columns.item, *(log.columns.item for log in logs))) if name]
        table, entry, warnings = read_items(
            items, target_items, source_items, names, as_text=ids == "string", drop_nulls=drop_nulls
        )
        pair = replace(pair, items=table, inputs=(*pair.inputs, entry), warnings=(*pair.warnings, *warnings))
    return replace(pair, warnings=(*pair.warnings, *weak_points(pair)))


def _check_files(logs: list[_Log]) -> None:
    """Refuse a file under two names: it would explain itself, or count twice."""
    seen: dict[Path, str] = {}
    for log in logs:
        for file in log.entry["files"]:
            if (earlier := seen.setdefault(Path(file).resolve(), log.name)) != log.name:
                raise SchemaError(
                    f"'{log.name}' and '{earlier}' are the same file: {file}",
                    expected="logs of different domains",
                    fix="name each log's own file",
                )


def find_columns(table: Tabular, general: Columns, special: Columns, *, is_target: bool = True) -> Columns:
    """Find the columns of a log: the special name, else the general one, else a common one; "" for none.

    Raises:
        SchemaError: If a named column, or the user or item column, is missing.
    """
    names = table.schema.names
    lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for (role, wanted), (_, special_name) in zip(general.roles(), special.roles(), strict=True):
        name = wanted if special_name is None else special_name
        is_lenient = role in _OPTIONAL and special_name is None
        if name is None:
            found[role] = next((lower[common] for common in COMMON_NAMES[role] if common in lower), "")
        else:
            found[role] = name if name in names else ""
            if name and name not in names and not is_lenient:
                near = nearest_name(name, names)
                raise SchemaError(
                    f"{table.name} has no column '{name}' (it has {', '.join(names)})",
                    expected=f"the {role} column",
                    fix=f"did you mean '{near}'?" if near else f"name the right column with --{role}",
                )
        if not found[role] and role in ("user", "item"):
            raise SchemaError(
                f"{table.name} has no {role} column (it has {', '.join(names)})",
                expected=f"a column such as {', '.join(COMMON_NAMES[role][:2])}",
                fix=f"name it with --{role} COL",
            )
    used = [name for name in found.values() if name]
    if repeated := next((name for name in used if used.count(name) > 1), None):
        roles = [role for role, name in found.items() if name == repeated]
        raise SchemaError(
            f"column '{repeated}' of {table.name} is used as {' and '.join(roles)}",
            expected="one column per role",
            fix="name other columns",
        )
    return Columns(**found)


def _read_log(
    table: Tabular, name: str, role: str, columns: Columns, time_unit: str | None, *, as_text: bool, drop_nulls: bool
) -> _Log:
    chosen = {part: column for part, column in columns.roles() if column}
    flag = next((column for column in table.schema.names if column.lower() == _IS_SYNTHETIC), None)
    wanted = list(dict.fromkeys([*chosen.values(), *([flag] if flag else [])]))
    rows = read_columns(table, wanted, as_text=wanted)
    if not len(rows):
        raise SchemaError(
            f"{table.name} has no rows", expected="at least one event", fix="check the file and its filters"
        )
    entry = {
        "role": role,
        "name": name,
        "files": [str(file) for file in table.files],
        "rows": len(rows),
        "bytes": sum(file.stat().st_size for file in table.files) if table.files else rows.nbytes,
        "digest": files_digest(table.files) if table.files else table_digest(rows),
    }
    if flag and (n_synthetic := count_true(rows[flag])):
        raise SchemaError(
            f"{table.name} has {n_synthetic} synthetic events ('{flag}' is true)",
            expected="real events only: what is fitted on synthetic events repeats itself",
            fix=f"filter them out (WHERE NOT {flag})",
        )
    n_rows = len(rows)
    rows = _without_nulls(table, rows.select(list(chosen.values())), chosen, drop_nulls=drop_nulls)
    column = {part: _column(table, rows, given) for part, given in chosen.items()}
    time, unit = None, None
    if "time" in column:
        type_ = None if table.format == "CSV" else table.schema.field(chosen["time"]).type
        time, unit = read_times(column["time"], time_unit, type_)
    return _Log(
        name=name,
        table=table,
        columns=columns,
        user=read_ids(column["user"], as_text=as_text),
        item=read_ids(column["item"], as_text=as_text),
        time=time,
        time_unit=unit,
        label=read_labels(column["label"]) if "label" in column else None,
        value=read_values(column["value"]) if "value" in column else None,
        weight=read_weights(column["weight"]) if "weight" in column else None,
        entry=entry,
        dropped=n_rows - len(rows),
    )


def _column(table: Tabular, rows: pa.Table, name: str) -> Column:
    return plain_column(name, table.name, rows[name], is_untyped=table.format == "CSV")


def _without_nulls(table: Tabular, rows: pa.Table, chosen: Mapping[str, str], *, drop_nulls: bool) -> pa.Table:
    is_complete = np.ones(len(rows), np.bool_)
    for role, name in chosen.items():
        column = _column(table, rows, name)
        if role in ("user", "item"):
            check_id_type(column)
        missing = column.missing()
        if missing.any() and not drop_nulls:
            raise nulls_in(column, missing, f"no nulls in the {role} column")
        is_complete &= ~missing
    if not is_complete.any():
        raise SchemaError(
            f"every row of {table.name} has a null", expected="at least one complete event", fix="check the columns"
        )
    return rows if is_complete.all() else rows.filter(pa.array(is_complete))


def _check_named(general: Columns, logs: list[_Log]) -> None:
    """Refuse a label, value or weight column that is named for all logs but is in none."""
    for role, name in general.roles():
        if role in _OPTIONAL and name and not any(name in log.table.schema.names for log in logs):
            names = list(dict.fromkeys(column for log in logs for column in log.table.schema.names))
            near = nearest_name(name, names)
            raise SchemaError(
                f"no log has a column '{name}' (they have {', '.join(names)})",
                expected=f"the {role} column",
                fix=f"did you mean '{near}'?" if near else f"name the right column with --{role}",
            )


def _check_together(logs: list[_Log]) -> None:
    """Refuse logs whose users or times cannot be compared."""
    goal = logs[-1]
    for log in logs[:-1]:
        if log.user.distinct.type != goal.user.distinct.type:
            kinds = [f"{_kind(one.user)} in {one.table.name} (such as {_an_id(one.user)})" for one in (log, goal)]
            raise SchemaError(
                f"user ids are {kinds[0]} but {kinds[1]}",
                expected="user ids of one type in all logs",
                fix="cast one of the columns, or read all ids as text with --ids string",
            )
        if (log.time is None) != (goal.time is None):
            with_time, without = (goal, log) if log.time is None else (log, goal)
            raise SchemaError(
                f"{without.table.name} has no time column, but {with_time.table.name} has '{with_time.columns.time}'",
                expected="a time column in all logs, or in none",
                fix="name it with --time COL, or pass an empty name to do without",
            )
        if log.time_unit and goal.time_unit and (log.time_unit.kind == "order") != (goal.time_unit.kind == "order"):
            plain, dated = (log, goal) if log.time_unit.kind == "order" else (goal, log)
            raise SchemaError(
                f"times of {plain.table.name} look like a plain order, those of {dated.table.name} like points in time",
                expected="times that can be compared",
                fix="name the unit of integer times with --time-unit s, ms, us, ns or order",
            )


def _events(
    logs: list[_Log], users: Vocabulary, user_codes: list[Codes], items: Vocabulary, item_codes: list[Codes]
) -> EventLog:
    """Join logs into one in canonical order."""
    first = logs[0]
    user, item = np.concatenate(user_codes), np.concatenate(item_codes)
    times = [log.time for log in logs if log.time is not None]
    time = np.concatenate(times) if times else None
    label = _joined([log.label for log in logs], logs, 1)
    value = _joined([log.value for log in logs], logs, np.nan)
    weight = _joined([log.weight for log in logs], logs, 1)
    order = canonical_order(user, item, len(items), [time, label, value, weight])

    def placed(column: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if column is None else column[order]

    name = "source" if len(logs) > 1 else first.name
    schema = _schema(first) if len(logs) == 1 else None
    return EventLog(
        name=name,
        users=users,
        items=items,
        user=user[order],
        item=item[order],
        time=placed(time),
        label=placed(label),
        value=placed(value),
        weight=placed(weight),
        columns=first.columns,
        time_unit=first.time_unit,
        schema=schema,
    )


def _joined(columns: list[Any], logs: list[_Log], neutral: float) -> npt.NDArray[Any] | None:
    given = [column for column in columns if column is not None]
    if not given:
        return None
    filled = [
        np.full(len(log), neutral, given[0].dtype) if column is None else column
        for column, log in zip(columns, logs, strict=True)
    ]
    return np.concatenate(filled)


def canonical_order(
    user: Codes, item: Codes, n_items: int, more: list[npt.NDArray[Any] | None]
) -> npt.NDArray[np.int64]:
    """Return the rows, shape (n,), ordered by user, item and then the columns of `more`, those that are there."""
    pair = user.astype(np.int64) * n_items + item
    order = np.argsort(pair, kind="stable")
    ties = [column for column in more if column is not None]
    is_same = pair[order[1:]] == pair[order[:-1]]
    if not ties or not is_same.any():
        return order
    is_tied = np.append(is_same, False) | np.append(False, is_same)  # most pairs stand alone: only the others need more
    rows = order[is_tied]
    order[is_tied] = rows[np.lexsort([column[rows] for column in (*reversed(ties), pair)])]
    return order


def _schema(log: _Log) -> pa.Schema:
    """Return the user's schema; types that CSV cannot say are those that were read."""
    schema = log.table.schema
    if log.table.format != "CSV":
        return schema
    read = {log.columns.user: log.user.distinct.type, log.columns.item: log.item.distinct.type}
    if log.time_unit is not None:
        read[log.columns.time] = log.time_unit.type
    for name, type_ in read.items():
        place = schema.get_field_index(name)
        schema = schema.set(place, pa.field(name, pa.string() if pa.types.is_large_string(type_) else type_))
    return schema


def _dropped(logs: list[_Log]) -> tuple[str, ...]:
    return tuple(f"{log.dropped:,} rows of {log.table.name} had nulls and were dropped." for log in logs if log.dropped)


def _kind(ids: IdColumn) -> str:
    return "integers" if pa.types.is_integer(ids.distinct.type) else "text"


def _an_id(ids: IdColumn) -> str:
    return repr(pc.min(ids.distinct).as_py())
