"""Read one target log and one or more source logs into a pair, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Board, Room, SchemaError, SilentBoard, nearest_name
from scalr.logs.collecting import FileIntake, MemoryIntake, Read, source_log, source_log_on_disk, target_log
from scalr.logs.column_roles import OPTIONAL, find_columns
from scalr.logs.event_log import Pair
from scalr.logs.item_table import read_items, with_log_columns
from scalr.logs.scanning import ScannedLog, scan
from scalr.logs.schema import Columns
from scalr.logs.stored import StoredPair
from scalr.logs.summary import overlap_users, weak_points
from scalr.logs.tables.digests import files_digest
from scalr.logs.tables.files import find_files
from scalr.logs.tables.open_table import Tabular, count_rows, open_table
from scalr.logs.tables.stamps import Stamp, changed, refuse_changed, stamp_of
from scalr.logs.vocabulary import unify

Source = str | Path | Any
"""A path, glob or folder (Parquet, CSV, JSON lines), or a frame (pandas, Polars, PyArrow, DuckDB relation)."""

_BYTES_PER_EVENT = 32  # that reading and ordering take at their peak, where a log has user, item and time only
_BYTES_PER_TEXT_EVENT = 16  # a row of CSV or JSON takes at least so much of its file


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
    return read_logs(
        source,
        target,
        items=items,
        columns=columns,
        source_columns=source_columns,
        target_columns=target_columns,
        time_unit=time_unit,
        ids=ids,
        drop_nulls=drop_nulls,
    ).load()


def read_logs(
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
    item_columns: bool = False,
    room: Room | None = None,
    board: Board | None = None,
) -> StoredPair:
    """Read logs like `read_pair`, but leave the source packed, in memory or in files of `room.folder`.

    Args:
        source: See `read_pair`, as for all that is not named here.
        item_columns: Add the target log's columns that are functions of its items to the item table.
        room: Memory, threads, and a place for what does not fit; all in memory if None.
        board: Where progress is shown.
    """
    sources, named = by_domain(source, source_columns)
    general = columns or Columns()
    room = room or Room()
    as_text = ids == "string"
    stamps = _stamps_of((*sources.values(), target, items))
    tables = {name: open_table(given, name) for name, given in sources.items()}
    goal_table = open_table(target, "target")
    counted = [count_rows(table) for table in (*tables.values(), goal_table)]
    total = None if None in counted else sum(n for n in counted if n is not None)
    progress = (board or SilentBoard()).stage("reading logs", total, "rows")
    in_memory = room.holds(_BYTES_PER_EVENT * sum(_rows_of(table) for table in tables.values()))

    with ExitStack() as opened:

        def read(place: int, table: Tabular, name: str, role: str, special: Columns | None) -> ScannedLog:
            found = find_columns(table, general, special or Columns(), is_target=role == "target")
            intake = _intake(table, place, room, in_memory=in_memory or role == "target")
            if isinstance(intake, FileIntake):
                opened.callback(intake.close)
            return scan(
                table, name, role, found, intake,
                time_unit=time_unit, as_text=as_text, drop_nulls=drop_nulls, progress=progress,
            )  # fmt: skip

        logs = [
            read(place, table, name, "source", named.get(name)) for place, (name, table) in enumerate(tables.items())
        ]
        goal = read(len(logs), goal_table, "target", "target", target_columns)
    _check_named(general, [*logs, goal])
    _check_together([*logs, goal])
    _check_files([*logs, goal])

    users, user_codes = unify([log.users for log in (*logs, goal)])
    source_items, source_codes = unify([log.items for log in logs], tuple(sources))
    target_items, target_codes = unify([goal.items])
    examples = f"source users are such as {_an_id(logs[0].users)}, target users such as {_an_id(goal.users)}"
    names = [name for name in dict.fromkeys((goal.columns.item, *(log.columns.item for log in logs))) if name]
    reads = [
        Read(log.intake, user, item, log.time_unit)
        for log, user, item in zip(logs, user_codes[:-1], source_codes, strict=True)
    ]
    target_events = target_log(
        Read(goal.intake, user_codes[-1], target_codes[0], goal.time_unit), users, target_items,
        name="target", columns=goal.columns, schema=goal.schema(),
    )  # fmt: skip
    entries = tuple(log.entry for log in (*logs, goal))
    warnings = _dropped([*logs, goal])
    facts = {
        "name": "source" if len(logs) > 1 else logs[0].name,
        "columns": logs[0].columns,
        "schema": logs[0].schema() if len(logs) == 1 else None,
    }
    goal_item = goal.columns.item or ""
    plain = [name for name in goal_table.schema.names if name not in {own for _, own in goal.columns.roles()}]
    del logs, goal, user_codes, source_codes, target_codes
    if in_memory:
        source_events = source_log(reads, users, source_items, threads=room.threads, **facts)
    else:
        assert room.folder is not None
        source_events = source_log_on_disk(reads, users, source_items, room.folder, **facts)
    pair = StoredPair(source_events, target_events, source_events.tally(), inputs=entries, warnings=warnings)
    if not len(overlap_users(pair.tally, target_events)):
        raise SchemaError(
            f"no user has positive events in both domains ({examples})",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    if items is not None:
        table, entry, more = read_items(
            items, target_items, source_items, names, as_text=as_text, drop_nulls=drop_nulls
        )
        pair = replace(pair, items=table, inputs=(*pair.inputs, entry), warnings=(*pair.warnings, *more))
    if item_columns:
        joined = with_log_columns(pair.items, goal_table, goal_item, plain, target_items, source_items, as_text=as_text)
        pair = replace(pair, items=joined)
    refuse_changed(changed(stamps), "while it was read")
    return replace(pair, warnings=(*pair.warnings, *weak_points(pair)), stamps=stamps)


def by_domain(
    source: Any, source_columns: Columns | Mapping[str, Columns] | None
) -> tuple[dict[str, Any], dict[str, Columns]]:
    """Return the sources by domain name, in order, and the column names that differ in them.

    Raises:
        SchemaError: If a domain cannot have its name, or columns are given for none that is there.
    """
    sources = dict(sorted(source.items())) if isinstance(source, Mapping) else {"source": source}
    if not sources or "target" in sources or not all(sources):
        found = ", ".join(repr(name) for name in sources) or "no source"
        raise SchemaError(
            f"the source domains are named {found}",
            expected="one or more names, none of them 'target'",
            fix="rename the sources",
        )
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
    return sources, named


def refuse_changed_inputs(pair: StoredPair) -> None:
    """Refuse logs whose files are no longer those that were read; one that was only touched is read again to see.

    Raises:
        InputError: If one has changed.
    """
    suspects = set(changed(pair.stamps))
    for one in pair.inputs:
        files = [Path(file) for file in one["files"]]
        touched = [file for file in files if file in suspects]
        if touched and (not all(file.is_file() for file in files) or files_digest(files) != one["digest"]):
            refuse_changed(touched, "during the run")


def _stamps_of(given: Iterable[Source | None]) -> tuple[Stamp, ...]:
    names = [one for one in given if isinstance(one, str | Path)]
    return tuple(stamp_of(file) for name in names for file in find_files(str(name))[0])


def _intake(table: Tabular, place: int, room: Room, *, in_memory: bool) -> MemoryIntake | FileIntake:
    if in_memory:
        return MemoryIntake(count_rows(table))
    assert room.folder is not None
    return FileIntake(room.folder / f"as-read-{place}")


def _rows_of(table: Tabular) -> int:
    """Return how many rows there are, or at most are."""
    known = count_rows(table)
    return sum(file.stat().st_size for file in table.files) // _BYTES_PER_TEXT_EVENT if known is None else known


def _check_files(logs: list[ScannedLog]) -> None:
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


def _check_named(general: Columns, logs: list[ScannedLog]) -> None:
    """Refuse a label, value or weight column that is named for all logs but is in none."""
    for role, name in general.roles():
        if role in OPTIONAL and name and not any(name in log.table.schema.names for log in logs):
            names = list(dict.fromkeys(column for log in logs for column in log.table.schema.names))
            near = nearest_name(name, names)
            raise SchemaError(
                f"no log has a column '{name}' (they have {', '.join(names)})",
                expected=f"the {role} column",
                fix=f"did you mean '{near}'?" if near else f"name the right column with --{role}",
            )


def _check_together(logs: list[ScannedLog]) -> None:
    """Refuse logs whose users or times cannot be compared."""
    goal = logs[-1]
    for log in logs[:-1]:
        if log.users.type != goal.users.type:
            kinds = [f"{_kind(one.users)} in {one.table.name} (such as {_an_id(one.users)})" for one in (log, goal)]
            raise SchemaError(
                f"user ids are {kinds[0]} but {kinds[1]}",
                expected="user ids of one type in all logs",
                fix="cast one of the columns, or read all ids as text with --ids string",
            )
        if (log.time_unit is None) != (goal.time_unit is None):
            with_time, without = (goal, log) if log.time_unit is None else (log, goal)
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


def _dropped(logs: list[ScannedLog]) -> tuple[str, ...]:
    return tuple(f"{log.dropped:,} rows of {log.table.name} had nulls and were dropped." for log in logs if log.dropped)


def _kind(ids: pa.Array) -> str:
    return "integers" if pa.types.is_integer(ids.type) else "text"


def _an_id(ids: pa.Array) -> str:
    return repr(pc.min(ids).as_py())
