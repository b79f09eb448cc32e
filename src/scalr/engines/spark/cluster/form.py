"""Source logs as Spark frames: their columns found, looked at in one scan, and brought into one form.

What is wrong with a log is found by one aggregate per log before anything is shuffled. Columns are typed in Spark: text
that stands for numbers or times is refused, since Spark and the local engine would read it by different rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from scalr.logs import Columns, TimeUnit

TYPES = {"user": "bigint", "item": "bigint", "time": "bigint", "label": "tinyint", "value": "double", "weight": "float"}
"""Spark's types of the columns of a source in one form; users and items may be strings as well."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceForm:
    """What tasks must know of the events of all source logs together.

    Attributes:
        name: Name of the log, as the local engine has it.
        domains: Names of the source domains, in order; an event's domain is a place in them.
        roles: Roles that events have, user and item first.
        text_users: Whether ids of users are text; else int64.
        text_items: Likewise for items.
        columns: The user's names of the first log's columns.
        time_unit: How the first log's times are written; None without time.
        schema: All columns of the only log; None where there are several.
    """

    name: str
    domains: tuple[str, ...]
    roles: tuple[str, ...]
    text_users: bool
    text_items: bool
    columns: Columns
    time_unit: TimeUnit | None
    schema: pa.Schema | None
