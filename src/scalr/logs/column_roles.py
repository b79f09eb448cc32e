"""Which column of a log plays which role."""

from __future__ import annotations

from scalr.foundation import SchemaError, nearest_name
from scalr.logs.schema import COMMON_NAMES, Columns
from scalr.logs.tables.open_table import Tabular

OPTIONAL = ("label", "value", "weight")
"""Roles that a single log may lack, even if their column is named for all logs."""


def find_columns(table: Tabular, general: Columns, special: Columns) -> Columns:
    """Find the column of every role: the special name, else the general name, else a common name; "" for none.

    Args:
        table: The log.
        general: Column names in all logs.
        special: Column names that differ in this log.

    Raises:
        SchemaError: If a named column, or the user or item column, is missing, or a column has two roles.
    """
    names = table.schema.names
    lower = {name.lower(): name for name in reversed(names)}
    columns: dict[str, str] = {}
    for (role, general_name), (_, special_name) in zip(general.roles(), special.roles(), strict=True):
        name = general_name if special_name is None else special_name
        may_lack = role in OPTIONAL and special_name is None
        if name is None:
            name = next((lower[common] for common in COMMON_NAMES[role] if common in lower), "")
        elif name and name not in names and not may_lack:
            near = nearest_name(name, names)
            raise SchemaError(
                f"{table.name} has no column '{name}' (it has {', '.join(names)})",
                expected=f"the {role} column",
                fix=f"did you mean '{near}'?" if near else f"name the right column with --{role}",
            )
        columns[role] = name if name in names else ""
        if not columns[role] and role in ("user", "item"):
            raise SchemaError(
                f"{table.name} has no {role} column (it has {', '.join(names)})",
                expected=f"a column such as {', '.join(COMMON_NAMES[role][:2])}",
                fix=f"name it with --{role} COL",
            )
    _refuse_repeated(columns, table.name)
    return Columns(**columns)


def _refuse_repeated(columns: dict[str, str], table: str) -> None:
    names = [name for name in columns.values() if name]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        roles = [role for role, name in columns.items() if name == repeated]
        raise SchemaError(
            f"column '{repeated}' of {table} is used as {' and '.join(roles)}",
            expected="one column per role",
            fix="name other columns",
        )
