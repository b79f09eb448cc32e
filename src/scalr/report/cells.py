"""Values as text of a table cell; "–" where a value is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalr.studies import Change, bracket, classify, decimal, decimals_for, number, percent

UNKNOWN = "–"


def text_of(value: Any) -> str:
    """Return a value as text; empty for None."""
    return "" if value is None else str(value)


def number_text(value: Any, write: Callable[[float], str]) -> str:
    """Return a number as `write` formats it; "–" for anything but a finite number."""
    size = number(value)
    return UNKNOWN if size is None else write(size)


def setting_text(value: Any) -> str:
    """Return a setting as text: numbers with few decimals, booleans as yes or no, lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(part) for part in value) or "none"
    size = number(value)
    return str(value) if size is None else decimal(size)


def heading(name: str) -> str:
    """Return a snake_case name as a heading; other names as they are."""
    return name.replace("_", " ").capitalize() if name.islower() else name


def change_cell(change: Change | None) -> dict[str, str]:
    """Return the cell of a relative change: `text`, `interval`, and `kind`, which is the class of its colour."""
    if change is None:
        return {"text": UNKNOWN, "interval": "", "kind": "none"}
    digits = decimals_for(change.change)
    return {
        "text": percent(change.change, signed=True, digits=digits),
        "interval": bracket(change.interval, digits=digits) if change.interval else "no interval",
        "kind": classify(change),
    }
