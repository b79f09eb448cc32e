"""The common form of all source logs: the columns that their events have in Spark."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from scalr.logs import Columns, TimeUnit

TYPES = {"user": "bigint", "item": "bigint", "time": "bigint", "label": "tinyint", "value": "double", "weight": "float"}
"""Spark's types of the columns in the common form; users and items may be strings as well."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceForm:
    """The common form of the events of all source logs.

    Attributes:
        name: Name of the log in the local engine.
        domains: Names of the source domains, in order; an event's domain is a place among them.
        roles: Roles of the columns, user and item first.
        text_users: Whether ids of users are text; else int64.
        text_items: Likewise for items.
        columns: Column names of the first log.
        time_unit: Unit of the first log's times; None without time.
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

    @property
    def id_roles(self) -> tuple[tuple[str, bool], tuple[str, bool]]:
        """Return the roles of ids, and whether each is text."""
        return ("user", self.text_users), ("item", self.text_items)
