"""Column names: the user's columns by role, common names of them, and the columns of synthetic events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalr.foundation import ColumnSettings

SYNTHETIC_COLUMNS = (
    "is_synthetic",
    "weight",
    "confidence",
    "support",
    "source_domain",
    "source_item",
    "source_event",
    "draw",
    "generation_id",
)
"""Columns of synthetic events in addition to those of the target log, in their order in the files."""

COMMON_NAMES: dict[str, tuple[str, ...]] = {
    "user": ("user", "user_id", "userid", "household_id", "customer_id", "member_id", "visitor_id"),
    "item": ("item", "item_id", "itemid", "product_id", "video_id", "ad_id", "article_id", "sku"),
    "time": ("time", "timestamp", "ts", "event_time", "date", "datetime", "created_at", "transaction_timestamp"),
    "label": ("label", "is_click", "clicked", "converted"),
    "value": ("value", "price", "sales_value", "amount"),
    "weight": ("weight", "event_weight", "sample_weight"),
}
"""Column names that are recognised by default, by role, best first."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names of an event log.

    None means a common name; a log must have `user` and `item`, but may lack the others. The empty string means that
    the column is not read.

    Attributes:
        user: Column of user ids (integers or strings).
        item: Column of item ids (integers or strings).
        time: Column of times: integer seconds or milliseconds, date, timestamp, or any order.
        label: Column of 0 and 1.
        value: Column of the item's value (price, revenue).
        weight: Column of event weights, at least 0.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    label: str | None = None
    value: str | None = None
    weight: str | None = None

    @classmethod
    def from_settings(cls, names: ColumnSettings | Mapping[str, str | None] | None) -> Columns:
        """Return the columns that a configuration or a manifest names; None for common names.

        Args:
            names: Settings, or the same fields as JSON; fields that are missing count as None.
        """
        values = dict(names or {})
        return cls(**{role: values.get(role) for role, _ in cls().roles()})

    def roles(self) -> Iterator[tuple[str, str | None]]:
        """Yield (role, column name) in the fixed order user, item, time, label, value, weight."""
        for role in fields(self):
            yield role.name, getattr(self, role.name)
