"""Figures of one size as text of at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.targets import TARGETS, Figures, Sizes

_HEAD = ("", "CPU s", "wall s", "peak MB", "x CPU", "x wall", "x peak")


def aligned(rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return rows in columns: the first `left` columns left-aligned, the others right-aligned."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def processes(figures: Figures) -> str:
    """Return the resources of every process, with ratios to scalr's default layout."""
    medians = {name: process["median"] for name, process in figures["processes"].items()}
    first = medians.get("scalr")
    rows = [_HEAD]
    for name, median in medians.items():
        used = [median["cpu_seconds"], median["wall_seconds"], median["peak_rss_bytes"] / 1e6]
        ratios = ["–"] * 3
        if first:
            compared = ("cpu_seconds", "wall_seconds", "peak_rss_bytes")
            ratios = [f"{median[key] / first[key]:.2f}" for key in compared]
        rows.append((name, f"{used[0]:.2f}", f"{used[1]:.2f}", f"{used[2]:.0f}", *ratios))
    width = max(map(len, (*medians, *figures["failures"])), default=0)
    failures = [f"{name:{width}}  {text}"[:100] for name, text in figures["failures"].items()]
    notes = [
        f"{name} keeps the {answer['top']} largest counts of an item: {100 * answer['lost_probability']:.0f} % of the "
        "probability is lost"
        for name, answers in figures["answers"].items()
        for answer in answers[:1]
        if isinstance(answer, dict) and "lost_probability" in answer
    ]
    return "\n".join([aligned(rows), *failures, *notes])


def memory(figures: Figures) -> str:
    """Return the yardstick and the kernel's speed."""
    yardstick = figures["yardstick"]
    reads = yardstick["random_reads_per_second"]
    ordered = yardstick["sequential_bytes_per_second"] / 1e9
    rows = [
        ("", "M per CPU s", "of random reads", "M per s"),
        ("random reads of 1 GiB, 1 thread", f"{reads / 1e6:.0f}", "1.00", ""),
    ]
    for name, speed in figures.get("kernel", {}).items():
        cpu, wall = speed["draws_per_cpu_second"], speed["draws_per_second"]
        rows.append((name, f"{cpu / 1e6:.0f}", f"{cpu / reads:.2f}", f"{wall / 1e6:.0f}"))
    return f"{aligned(rows)}\nsequential reads: {ordered:.1f} GB/s"


def stages(figures: Figures) -> str:
    """Return each stage's share of processor time, for all runs of scalr."""
    runs = figures["stages"]
    names = list(dict.fromkeys(name for run in runs.values() for name in run))
    rows = [("CPU s (share)", *runs)]
    for name in names:
        cells = [
            f"{run[name]:.2f} ({100 * run[name] / sum(run.values()):.0f} %)" if name in run else "–"
            for run in runs.values()
        ]
        rows.append((name, *cells))
    return aligned(rows)


def floor(figures: Figures) -> str:
    """Return the cost of reading alone and of writing alone, the fastest first."""
    measured = figures["floor"]
    rows = [("", "CPU s", "wall s", "M rows per CPU s")]
    for what in ("read", "write"):
        for way, figure in sorted(measured[what].items(), key=lambda item: item[1]["cpu_seconds"]):
            cpu, wall = figure["cpu_seconds"], figure["wall_seconds"]
            rows.append((f"{what} {way}", f"{cpu:.2f}", f"{wall:.2f}", f"{figure['rows'] / cpu / 1e6:.1f}"))
    return f"{aligned(rows)}\nsum of the fastest of each: {measured['cpu_seconds']:.2f} CPU s"


def targets(sizes: Sizes) -> str:
    """Return all targets, with the measured figures."""
    return aligned([("target", "bound", "measured", "reached"), *(target.row(sizes) for target in TARGETS)])


def everything(figures: Figures, sizes: Sizes) -> str:
    """Return all tables of one size, and the targets of all sizes."""
    machine, events = figures["machine"], figures["events"]
    parts = [
        f"size {figures['size']}: {events['source_events']:,} source and {events['target_events']:,} target events, "
        f"{figures['draws']} draws\nmedian of {figures['repeats']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB, {machine['processor']}"
    ]
    if "yardstick" in figures:
        parts.append(memory(figures))
    parts.append(processes(figures))
    if figures["stages"]:
        parts.append(stages(figures))
    if "floor" in figures:
        parts.append(floor(figures))
    return "\n\n".join([*parts, targets(sizes)])
