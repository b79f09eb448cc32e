"""Targets of the benchmarks, and whether the figures reach them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
"""The output of `benchmarks.run` for one size."""

Sizes = Mapping[str, Figures]
"""Figures by size; sizes that were not measured are missing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure.

    Attributes:
        what: Name of the measured quantity.
        bound: Smallest or largest acceptable figure.
        at_least: Whether `bound` is the smallest acceptable figure.
        figure: Computes the figure; raises KeyError or returns None if an input was not measured.
        unit: Suffix of numbers.
    """

    what: str
    bound: float
    at_least: bool
    figure: Callable[[Sizes], float | None]
    unit: str = ""

    def measured(self, sizes: Sizes) -> float | None:
        """Return the figure, None if it was not measured."""
        try:
            return self.figure(sizes)
        except KeyError:
            return None

    def reached(self, sizes: Sizes) -> str:
        """Return "yes", "no" or "not measured"."""
        measured = self.measured(sizes)
        if measured is None:
            return "not measured"
        return "yes" if (measured >= self.bound if self.at_least else measured <= self.bound) else "no"

    def row(self, sizes: Sizes) -> tuple[str, str, str, str]:
        """Return the target as texts: quantity, bound, measured, reached."""
        measured = self.measured(sizes)
        bound = f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"
        return self.what, bound, "–" if measured is None else f"{measured:.2f}{self.unit}", self.reached(sizes)


def cpu_seconds(figures: Figures, process: str) -> float:
    """Return the median processor seconds of a process."""
    return float(figures["processes"][process]["median"]["cpu_seconds"])


def peak_rss(figures: Figures, process: str) -> float:
    """Return the median peak memory of a process, in bytes."""
    return float(figures["processes"][process]["median"]["peak_rss_bytes"])


def _sampling(size: str, what: str) -> Callable[[Sizes], float | None]:
    def figure(sizes: Sizes) -> float | None:
        speeds = sizes[size]["kernel"][f"{what}, 1 thread"]
        return float(speeds["draws_per_cpu_second"] / sizes[size]["yardstick"]["random_reads_per_second"])

    return figure


def fastest(figures: Figures, library: str) -> str:
    """Return the fastest measured variant of a library: with string ids, or with ids as codes.

    Raises:
        KeyError: If no variant was measured.
    """
    ways: list[str] = [name for name in figures["processes"] if name in (library, f"{library}-codes")]
    if not ways:
        raise KeyError(library)
    return min(ways, key=lambda name: cpu_seconds(figures, name))


def _times_scalr(size: str, library: str, take: Callable[[Figures, str], float]) -> Callable[[Sizes], float | None]:
    return lambda sizes: take(sizes[size], fastest(sizes[size], library)) / take(sizes[size], "scalr")


def _of_floor(sizes: Sizes) -> float:
    return cpu_seconds(sizes["B"], "scalr") / float(sizes["B"]["floor"]["cpu_seconds"])


def _sampling_share(sizes: Sizes) -> float:
    stages = sizes["B"]["stages"]["scalr"]
    return float(stages["sample"] / sum(stages.values()))


def _memory_share_of_polars(sizes: Sizes) -> float:
    return peak_rss(sizes["B"], "scalr") / peak_rss(sizes["B"], fastest(sizes["B"], "polars"))


def _growth(sizes: Sizes) -> float:
    per_event = {
        size: cpu_seconds(sizes[size], "scalr") / sizes[size]["synthetic_events"]["scalr"] for size in ("B", "C")
    }
    return float(per_event["C"] / per_event["B"])


def _kept(sizes: Sizes) -> float:
    return float(sizes["B"]["translation_bytes"] / sizes["B"]["events"]["source_events"])


def _peak_per_event(sizes: Sizes) -> float:
    idle = float(sizes["B"]["idle_rss_bytes"])
    return (peak_rss(sizes["B"], "scalr") - idle) / float(sizes["B"]["events"]["source_events"])


TARGETS = (
    *(
        Target(f"{size}: {name}, of the random reads, 1 thread", bound, True, _sampling(size, what))
        for what, name, bounds in (
            ("draws", "leave-one-out sampling", {"B": 0.75, "H": 0.5, "C": 0.3}),
            ("confidence", "sampling with exact confidence", {"B": 0.5, "H": 0.22}),
        )
        for size, bound in bounds.items()
    ),
    Target("B: sampling and confidence, share of CPU end to end", 0.2, False, _sampling_share),
    *(
        Target(f"A: CPU of {name} / of scalr", bound, True, _times_scalr("A", name, cpu_seconds), "x")
        for name, bound in (("polars", 6.0), ("duckdb", 12.0), ("spark", 40.0))
    ),
    Target("B: CPU of polars / of scalr", 8.0, True, _times_scalr("B", "polars", cpu_seconds), "x"),
    Target("B: peak memory of scalr / of polars", 0.1, False, _memory_share_of_polars),
    Target("B: CPU of scalr / of only reading and writing the same", 1.8, False, _of_floor, "x"),
    Target("B: peak memory", 700.0, False, lambda sizes: peak_rss(sizes["B"], "scalr") / 1e6, " MB"),
    Target("C: peak memory", 8.0, False, lambda sizes: peak_rss(sizes["C"], "scalr") / 1e9, " GB"),
    Target("C: CPU per synthetic event / that at B", 1.6, False, _growth, "x"),
    Target("B: memory of the translation per source event", 12.0, False, _kept, " B"),
    Target("B: peak memory, minus that of tiny logs, per source event", 40.0, False, _peak_per_event, " B"),
)
"""Unless stated otherwise: 10 draws per source event, string ids as input, Parquet in the target's columns as output.

DuckDB and Polars run in two variants; the variant with less CPU counts.
"""
