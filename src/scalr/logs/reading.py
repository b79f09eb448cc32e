"""Read a target log and one or more source logs into a pair, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from scalr.foundation import Board, Room, SchemaError, SilentBoard, nearest_name
from scalr.logs.assembling import CodedLogs, code_logs, join_items, stored_pair
from scalr.logs.collecting import FileBuffer, MemoryBuffer
from scalr.logs.column_roles import OPTIONAL, find_columns
from scalr.logs.event_log import Pair
from scalr.logs.log_request import LogRequest, Source
from scalr.logs.refusals import refuse_unlike_logs
from scalr.logs.scanning import ScannedLog, scan
from scalr.logs.schema import Columns
from scalr.logs.stored import StoredPair
from scalr.logs.summary import weak_points
from scalr.logs.tables.digests import files_digest
from scalr.logs.tables.files import find_files
from scalr.logs.tables.open_table import Tabular, count_rows, open_table
from scalr.logs.tables.stamps import Stamp, changed, refuse_changed, stamp_of

_BYTES_PER_EVENT = 32  # peak memory of reading and ordering a log with user, item and time only
_BYTES_PER_TEXT_EVENT = 16  # the shortest row of CSV or JSON


def read_pair(  # noqa: PLR0913 - public
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
        columns: Names of the columns in all logs; columns that are not named are found by common names. Label, value
            and weight are optional in every log; a log without them counts as all positive, unknown (NaN) and 1.
        source_columns: Names that differ in the sources; a mapping gives them by source domain.
        target_columns: Names that differ in the target.
        time_unit: Unit of integer times; None infers it from their size, for each log. Dates, timestamps and ISO text
            need no unit.
        ids: "string" reads all ids as text; "auto" keeps their types, and reads the ids of a CSV file as integers if
            all of them look like integers.
        drop_nulls: Drop rows with a null in a column that is read, and count them in the warnings.

    Raises:
        InputError: If files are missing or of an unknown format.
        SchemaError: If columns are missing or hold values that do not fit their role.
    """
    request = LogRequest(
        source=source,
        target=target,
        items=items,
        columns=columns,
        source_columns=source_columns,
        target_columns=target_columns,
        time_unit=time_unit,
        ids=ids,
        drop_nulls=drop_nulls,
    )
    return read_logs(request).load()


def read_logs(request: LogRequest, *, room: Room | None = None, board: Board | None = None) -> StoredPair:
    """Read logs like `read_pair`, but leave the source packed, in memory or in files of `room.folder`.

    Args:
        request: The logs, and how to read them.
        room: Memory, threads, and a folder for events that do not fit in memory; all in memory if None.
        board: Shows progress.

    Raises:
        InputError: If files are missing, of an unknown format, or change while they are read.
        SchemaError: If columns are missing or hold values that do not fit their role.
    """
    room, board = room or Room(), board or SilentBoard()
    stamps = _stamps_of((*request.sources().values(), request.target, request.items))
    tables = {name: open_table(source, name) for name, source in request.sources().items()}
    target = open_table(request.target, "target")
    logs = _read_and_code(request, tables, target, room, board)
    pair = join_items(stored_pair(logs, room), request, target, logs.item_names)
    refuse_changed(changed(stamps), "while it was read")
    return replace(pair, warnings=(*pair.warnings, *weak_points(pair)), stamps=stamps)


def _read_and_code(
    request: LogRequest, sources: Mapping[str, Tabular], target: Tabular, room: Room, board: Board
) -> CodedLogs:
    """Read and check all logs. Their distinct ids, beside the vocabularies, are released on return."""
    logs, target_log = _scan_all(request, sources, target, room, board)
    _check_together(request, [*logs, target_log])
    return code_logs(logs, target_log)


def _scan_all(
    request: LogRequest, sources: Mapping[str, Tabular], target: Tabular, room: Room, board: Board
) -> tuple[list[ScannedLog], ScannedLog]:
    tables = [*sources.values(), target]
    counts = [count_rows(table) for table in tables]
    total = None if None in counts else sum(n for n in counts if n is not None)
    progress = board.stage("reading logs", total, "rows")
    in_memory = room.holds(_BYTES_PER_EVENT * sum(_rows_at_most(table) for table in sources.values()))
    scans = []
    with ExitStack() as stack:
        for place, (name, table) in enumerate(zip([*sources, "target"], tables, strict=True)):
            columns = find_columns(table, *request.columns_of(name))
            if in_memory or name == "target":
                buffer: MemoryBuffer | FileBuffer = MemoryBuffer(count_rows(table))
            else:
                assert room.folder is not None
                buffer = FileBuffer(room.folder / f"as-read-{place}")
                stack.callback(buffer.close)
            scans.append(scan(table, name, columns, buffer, request.rules, progress))
    return scans[:-1], scans[-1]


def _rows_at_most(table: Tabular) -> int:
    """Return the number of rows, or an upper bound where only reading counts them."""
    n_rows = count_rows(table)
    return sum(file.stat().st_size for file in table.files) // _BYTES_PER_TEXT_EVENT if n_rows is None else n_rows


def _check_together(request: LogRequest, logs: Sequence[ScannedLog]) -> None:
    """Refuse logs that do not make up a pair; the target is the last one."""
    _check_named_columns(request.columns or Columns(), logs)
    *sources, target = (log.traits() for log in logs)
    refuse_unlike_logs(sources, target)
    _check_files(logs)


def _check_named_columns(named: Columns, logs: Sequence[ScannedLog]) -> None:
    """Refuse a label, value or weight column that is named for all logs but is in none."""
    names = list(dict.fromkeys(column for log in logs for column in log.table.schema.names))
    for role, name in named.roles():
        if role in OPTIONAL and name and name not in names:
            near = nearest_name(name, names)
            raise SchemaError(
                f"no log has a column '{name}' (they have {', '.join(names)})",
                expected=f"the {role} column",
                fix=f"did you mean '{near}'?" if near else f"name the right column with --{role}",
            )


def _check_files(logs: Sequence[ScannedLog]) -> None:
    """Refuse a file that belongs to two logs: its events would explain themselves, or count twice."""
    log_of: dict[Path, str] = {}
    for log in logs:
        for file in log.entry["files"]:
            if (earlier := log_of.setdefault(Path(file).resolve(), log.name)) != log.name:
                raise SchemaError(
                    f"'{log.name}' and '{earlier}' are the same file: {file}",
                    expected="logs of different domains",
                    fix="name each log's own file",
                )


def _stamps_of(inputs: Iterable[Any]) -> tuple[Stamp, ...]:
    """Return the state of all files among the inputs; frames and None have none."""
    paths = [str(path) for path in inputs if isinstance(path, str | Path)]
    return tuple(stamp_of(file) for path in paths for file in find_files(path)[0])


def refuse_changed_inputs(pair: StoredPair) -> None:
    """Refuse logs whose files have changed since they were read.

    A file whose modification time alone has changed is read again and compared by digest.

    Raises:
        InputError: If a file has changed.
    """
    suspects = set(changed(pair.stamps))
    for entry in pair.inputs:
        files = [Path(file) for file in entry["files"]]
        touched = [file for file in files if file in suspects]
        if touched and (not all(file.is_file() for file in files) or files_digest(files) != entry["digest"]):
            refuse_changed(touched, "during the run")
