"""Fit a saturation curve to a metric as a function of the volume of synthetic events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalr.foundation import Floats, SchemaError

PARAMETERS = 3  # a, b, c
_GRID, _ZOOMS = 121, 6
_RANGES = {
    "exponential": (0.02, 20.0),
    "power": (0.02, 8.0),
}  # range of c; for the exponential law in units of the largest volume


@dataclass(frozen=True, slots=True)
class Saturation:
    """A fitted curve; the metric decreases with volume if `b` is above 0.

    Attributes:
        law: "exponential": a - b · (1 - exp(-x / c)), or "power": a + b · x^-c.
        a: Value at volume 0 (exponential), or limit for infinite volume (power).
        b: Size of the effect, in units of the metric.
        c: Volume at which the effect reaches 63 % (exponential), or exponent (power); above 0.
        residuals: Metric minus curve at the fitted volumes.
        ends: Smallest and largest fitted volume.
    """

    law: str
    a: float
    b: float
    c: float
    residuals: tuple[float, ...]
    ends: tuple[float, float]

    @property
    def limit(self) -> float | None:
        """Return the limit for infinite volume, or None if the curve has not levelled off.

        It has levelled off if the remaining change is at most the change between the smallest and the largest fitted
        volume.
        """
        limit = self.a - self.b if self.law == "exponential" else self.a
        first, last = self.at(np.array(self.ends)).tolist()
        return limit if abs(limit - last) <= abs(last - first) else None

    def at(self, volume: Floats) -> Floats:
        """Return the values of the curve at volumes above 0, shape (n,)."""
        sign = -1.0 if self.law == "exponential" else 1.0
        return self.a + sign * self.b * _shape(self.law, np.asarray(volume, np.float64), self.c)

    def to_json(self) -> Mapping[str, Any]:
        """Return the law, its parameters, the limit, the residuals and their root mean square."""
        rms = float(np.sqrt(np.mean(np.square(self.residuals))))
        numbers = {"a": self.a, "b": self.b, "c": self.c, "limit": self.limit, "rms_residual": rms}
        return {"law": self.law, **numbers, "residuals": list(self.residuals)}


def fit_saturation(volume: Floats, metric: Floats) -> Saturation:
    """Fit both laws by least squares and return the one with the smaller squared residuals.

    `a` and `b` are linear and have a closed form. `c` is searched on a grid that is refined around the best value.

    Args:
        volume: Shape (n,), above 0, at least 4 distinct values.
        metric: Shape (n,), finite.

    Raises:
        SchemaError: If there are too few distinct volumes, shapes differ, a volume is not above 0 or a metric is not
            finite.
    """
    x, y = np.asarray(volume, np.float64), np.asarray(metric, np.float64)
    if x.shape != y.shape or len(np.unique(x)) <= PARAMETERS or not (x > 0).all() or not np.isfinite(y).all():
        raise SchemaError(
            f"a curve of {PARAMETERS} parameters cannot be fitted to {len(np.unique(x))} different volumes",
            expected=f"more than {PARAMETERS} volumes above 0, each with a metric",
            fix="sweep over more volumes",
        )
    fits = [_fit(law, x, y) for law in _RANGES]
    return min(fits, key=lambda fitted: float(np.square(fitted.residuals).sum()))


def _fit(law: str, x: Floats, y: Floats) -> Saturation:
    low, high = _RANGES[law]
    scale = float(x.max()) if law == "exponential" else 1.0
    first, last = float(np.log(low * scale)), float(np.log(high * scale))
    best = _linear(law, x, y, low * scale)
    for _ in range(_ZOOMS):
        grid = np.linspace(first, last, _GRID)
        tried = [_linear(law, x, y, c) for c in np.exp(grid).tolist()]
        place = int(np.argmin([np.square(one.residuals).sum() for one in tried]))
        best, step = tried[place], grid[1] - grid[0]
        first, last = max(float(grid[place] - step), first), min(float(grid[place] + step), last)
    return best


def _linear(law: str, x: Floats, y: Floats, c: float) -> Saturation:
    shape = _shape(law, x, c) * (-1.0 if law == "exponential" else 1.0)
    centred = shape - shape.mean()
    spread = float(centred @ centred)
    b = float(centred @ (y - y.mean())) / spread if spread > 0 else 0.0
    a = float(y.mean() - b * shape.mean())
    return Saturation(law, a, b, c, tuple((y - a - b * shape).tolist()), (float(x.min()), float(x.max())))


def _shape(law: str, x: Floats, c: float) -> Floats:
    shape: Floats = -np.expm1(-x / c) if law == "exponential" else x**-c
    return shape
