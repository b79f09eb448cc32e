"""Draw target items along paths (source item -> overlap user -> target item) without storing a table of counts.

The way in: `layout` lays the paths of one source item out in a workspace, `uniform` and `weighted` draw from it.
"""

from __future__ import annotations

from scalr.kernels.layout import NO_ITEM, Workspace, count_paths, make_workspace, stable_order
from scalr.kernels.uniform import draw_uniform_paths
from scalr.kernels.weighted import draw_weighted_items

__all__ = [
    "NO_ITEM",
    "Workspace",
    "count_paths",
    "draw_uniform_paths",
    "draw_weighted_items",
    "make_workspace",
    "stable_order",
]
