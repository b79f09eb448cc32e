"""What is kept of a part that is written: enough to go on without making it again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from scalr.align import Masses
from scalr.facts import Floats, Gathering
from scalr.stream import Count
from scalr.synthetic import Rows


def packed(sha256: str | None, gathering: Gathering, count: Count, masses: Masses | None) -> dict[str, Any]:
    """Return a finished part as a value that `scalr.pieces.Pieces` keeps.

    Args:
        sha256: Digest of its file; None without rows.
        gathering: Facts of its events.
        count: What happened to its events.
        masses: Weight of its rows by bucket; None without alignment.
    """
    gathered = {name: value for name, value in vars(gathering).items() if not name.startswith("_")}
    items = np.flatnonzero(gathered.pop("item_counts"))  # few of a large catalogue
    best = gathered.pop("best")
    return {
        "sha256": sha256,
        "items": items,
        "item_counts": gathering.item_counts[items],
        "best": None if best is None else _fields(best),
        "gathered": gathered,
        "count": _fields(count),
        "masses": None if masses is None else _fields(masses),
    }


def unpacked(kept: dict[str, Any], shares: Floats) -> tuple[Gathering, Count, Masses | None]:
    """Return what `packed` was given, but for the digest; `shares` is what the gathering was made with."""
    gathering = Gathering(shares)
    gathering.item_counts[kept["items"]] = kept["item_counts"]
    gathering.best = None if kept["best"] is None else Rows(**kept["best"])
    for name, value in kept["gathered"].items():
        setattr(gathering, name, value)
    return gathering, Count(**kept["count"]), None if kept["masses"] is None else Masses(**kept["masses"])


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}
