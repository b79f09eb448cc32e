"""Build a stored pair from logs that were read: codes for their ids, events in order, items joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.foundation import Codes, Room, SchemaError
from scalr.logs.collecting import (
    CollectedEvents,
    CollectedLog,
    FileBuffer,
    source_log,
    source_log_on_disk,
    target_log,
)
from scalr.logs.event_log import has_events
from scalr.logs.item_table import read_items, with_log_columns
from scalr.logs.log_request import LogRequest
from scalr.logs.scanning import ScannedLog
from scalr.logs.stored import StoredPair
from scalr.logs.summary import overlap_users
from scalr.logs.tables.open_table import Tabular
from scalr.logs.vocabulary import example_id, unify


@dataclass(frozen=True, slots=True, eq=False)
class CodedLogs:
    """Logs whose ids have codes, but whose events are not in order yet.

    Attributes:
        source: Events of all source logs.
        target: Events of the target log.
        item_names: Names of the item columns, that of the target first.
        entries: Entries of the logs in the manifest.
        warnings: Sentences on rows that were dropped.
    """

    source: CollectedLog
    target: CollectedLog
    item_names: tuple[str, ...]
    entries: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]


def code_logs(sources: Sequence[ScannedLog], target: ScannedLog) -> CodedLogs:
    """Give the ids of all logs codes: one vocabulary of users, one of items for the sources and for the target."""
    logs = [*sources, target]
    first, several = sources[0], len(sources) > 1
    users, user_codes = unify([log.users for log in logs])
    source_items, source_codes = unify([log.items for log in sources], tuple(log.name for log in sources))
    target_items, target_codes = unify([target.items])
    return CodedLogs(
        source=CollectedLog(
            [_events(*coded) for coded in zip(sources, user_codes[:-1], source_codes, strict=True)],
            users,
            source_items,
            name="source" if several else first.name,
            columns=first.columns,
            schema=None if several else first.schema(),
        ),
        target=CollectedLog(
            [_events(target, user_codes[-1], target_codes[0])],
            users,
            target_items,
            name=target.name,
            columns=target.columns,
            schema=target.schema(),
        ),
        item_names=tuple(name for name in dict.fromkeys(log.columns.item for log in (target, *sources)) if name),
        entries=tuple(log.entry for log in logs),
        warnings=tuple(
            f"{log.dropped:,} rows of {log.table.name} had nulls and were dropped." for log in logs if log.dropped
        ),
    )


def _events(log: ScannedLog, user_code: Codes, item_code: Codes) -> CollectedEvents:
    return CollectedEvents(log.buffer, user_code, item_code, log.time_unit)


def stored_pair(logs: CodedLogs, room: Room) -> StoredPair:
    """Bring the events into order and count them.

    Args:
        logs: The logs; the source is stored in memory or in files, as it was collected.
        room: Threads to sort with, and the folder for files.

    Raises:
        SchemaError: If no user has positive events in both domains.
    """
    target = target_log(logs.target)
    if isinstance(logs.source.logs[0].buffer, FileBuffer):
        assert room.folder is not None
        source = source_log_on_disk(logs.source, room.folder)
    else:
        source = source_log(logs.source, threads=room.threads)
    pair = StoredPair(source, target, source.count_events(), inputs=logs.entries, warnings=logs.warnings)
    if not len(overlap_users(pair.source_counts, target)):
        active = (pair.source_counts.events_of_user > 0, has_events(target))
        examples = [example_id(source.users.ids.take(pa.array(np.flatnonzero(users)))) for users in active]
        raise SchemaError(
            "no user has positive events in both domains "
            f"(source users are such as {examples[0]}, target users such as {examples[1]})",
            expected="users that are active in the source and in the target",
            fix="use the same user ids in all logs, and check the columns with --user",
        )
    return pair


def join_items(pair: StoredPair, request: LogRequest, target: Tabular, item_names: Sequence[str]) -> StoredPair:
    """Join the item table, and the columns of the target log that depend on the item alone, as far as requested.

    Args:
        pair: The pair without items.
        request: Names the item table, and whether to add columns of the target log.
        target: Files or frame of the target log.
        item_names: Names that the id column of the item table may have, best first.
    """
    target_items, source_items = pair.target.items, pair.source.items
    if request.items is not None:
        items, entry, warnings = read_items(request.items, target_items, source_items, item_names, request.rules)
        pair = replace(pair, items=items, inputs=(*pair.inputs, entry), warnings=(*pair.warnings, *warnings))
    if request.item_columns:
        columns = pair.target.columns
        joined = with_log_columns(pair.items, target, columns, target_items, source_items, request.rules)
        pair = replace(pair, items=joined)
    return pair
