"""Which column of a log plays which role, and what logs may not be together."""

from __future__ import annotations

from scalr.foundation import SchemaError, nearest_name
from scalr.logs.schema import COMMON_NAMES, Columns
from scalr.logs.tables.open_table import Tabular

OPTIONAL = ("label", "value", "weight")
"""Roles that a log may do without even if their column is named for all logs."""


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
        is_lenient = role in OPTIONAL and special_name is None
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
