"""Type aliases of arrays, by content. Arrays are one-dimensional unless a docstring gives another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""True for the selected entries."""
Codes = npt.NDArray[np.int32]
"""Integer codes of users, items or other ids."""
Int64 = npt.NDArray[np.int64]
"""Row numbers, offsets and counts."""
Times = npt.NDArray[np.int64]
"""Microseconds since 1970 in UTC, or a plain order."""
Keys = npt.NDArray[np.uint64]
"""Hashes of ids; they do not depend on the order of the rows."""
Bytes = npt.NDArray[np.uint8]
"""Bytes, or bits packed into bytes."""
UInt32 = npt.NDArray[np.uint32]
"""32-bit words."""
UInt64 = npt.NDArray[np.uint64]
"""64-bit words."""
Singles = npt.NDArray[np.float32]
"""Numbers in single precision: weights, factors."""
Floats = npt.NDArray[np.float64]
"""Numbers in double precision: probabilities, losses, sums."""
Json = Mapping[str, Any]
"""A JSON object, such as the content of `study.json`."""
