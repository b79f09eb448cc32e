"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scalr.foundation import ConfigError
from scalr.logs import Columns

TimeUnitName = Literal["s", "ms", "us", "ns", "order"]
IdKind = Literal["auto", "string"]
LOGS, STEPS, OUTPUT = "Logs", "Steps", "Output"

SourceOption = Annotated[
    list[str],
    typer.Option(
        "--source",
        "-s",
        metavar="[NAME=]FILES",
        help="Source log: file, glob or folder of Parquet, CSV or JSON lines. Several: -s feed=a -s video=b",
        rich_help_panel=LOGS,
    ),
]
TargetOption = Annotated[str, typer.Option("--target", "-t", metavar="FILES", help="Target log.", rich_help_panel=LOGS)]
ItemsOption = Annotated[
    str | None,
    typer.Option("--items", metavar="FILE", help="Item table: titles, values, further columns.", rich_help_panel=LOGS),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="COL",
        help="Column of user ids; common names are found.",
        rich_help_panel=LOGS,
    ),
]
ItemOption = Annotated[
    str | None, typer.Option("--item", metavar="COL", help="Column of item ids.", rich_help_panel=LOGS)
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COL",
        help="Column of times: seconds, milliseconds, date, timestamp, or any order.",
        rich_help_panel=LOGS,
    ),
]
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="COL", help="Column of 0 and 1; '' for none.", rich_help_panel=LOGS)
]
ValueOption = Annotated[
    str | None,
    typer.Option("--value", metavar="COL", help="Column of values (prices); '' for none.", rich_help_panel=LOGS),
]
WeightOption = Annotated[
    str | None,
    typer.Option("--weight", metavar="COL", help="Column of event weights; '' for none.", rich_help_panel=LOGS),
]
TimeUnitOption = Annotated[
    TimeUnitName | None,
    typer.Option("--time-unit", help="Unit of integer times; guessed without.", rich_help_panel=LOGS),
]
IdsOption = Annotated[
    IdKind,
    typer.Option(
        "--ids",
        help="'string' reads all ids as text, to join logs of different types.",
        rich_help_panel=LOGS,
    ),
]
DropNullsOption = Annotated[
    bool,
    typer.Option(
        "--drop-nulls", help="Drop (and count) events with a null in a column that is read.", rich_help_panel=LOGS
    ),
]
SourceColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--source-columns",
        metavar="ROLE=COL,...",
        help="Names that differ in the source logs, such as user=member,item=sku.",
        rich_help_panel=LOGS,
    ),
]
TargetColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--target-columns", metavar="ROLE=COL,...", help="Names that differ in the target log.", rich_help_panel=LOGS
    ),
]
TrialsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--trials-file",
        metavar="FILE",
        help="Keep the trials of settings here (JSON lines): a study that was cut off goes on from them.",
        rich_help_panel=STEPS,
    ),
]

TranslatorOption = Annotated[
    str,
    typer.Option(
        "--translator",
        metavar="NAME",
        help="How P(target item | user, source item) is estimated: cooccurrence, conditioned, factor; popularity and "
        "random are controls. In a study also auto: chosen on the validation period, with all that goes with it.",
        rich_help_panel=STEPS,
    ),
]
DrawsOption = Annotated[
    int, typer.Option("--draws", metavar="K", help="Draws per source event.", rich_help_panel=STEPS)
]
StrategyOption = Annotated[
    str,
    typer.Option(
        "--strategy",
        metavar="sample|topk",
        help="Draw from the distribution, or take its top items.",
        rich_help_panel=STEPS,
    ),
]
TemperatureOption = Annotated[
    float, typer.Option("--temperature", help="Below 1 sharper, above 1 flatter draws.", rich_help_panel=STEPS)
]
MinSupportOption = Annotated[
    int,
    typer.Option(
        "--min-support", metavar="N", help="Distinct other users behind a pair of items.", rich_help_panel=STEPS
    ),
]
HistoryCapOption = Annotated[
    int | None,
    typer.Option(
        "--history-cap", metavar="N", help="At most N items of one user testify, the latest.", rich_help_panel=STEPS
    ),
]
WindowOption = Annotated[
    float | None,
    typer.Option(
        "--window-days",
        metavar="D",
        help="Only target events within D days after the source event testify.",
        rich_help_panel=STEPS,
    ),
]
BackoffOption = Annotated[
    float,
    typer.Option(
        "--backoff",
        metavar="M",
        help="Pseudo-paths of the source item's category (column 'category' of --items), for items with few paths; 0 "
        "for none.",
        rich_help_panel=STEPS,
    ),
]
PrivacyOption = Annotated[
    str | None,
    typer.Option(
        "--privacy",
        metavar="k=N",
        help="Use a pair (source item, target item) only with at least N distinct other users behind it. "
        "epsilon=E,delta=D (extra 'privacy'): differentially private counts, for generate alone, --engine local.",
        rich_help_panel=STEPS,
    ),
]
DuplicatesOption = Annotated[
    str,
    typer.Option(
        "--duplicates", metavar="keep|best|merge", help="Several events of one user and item.", rich_help_panel=STEPS
    ),
]
AlignOption = Annotated[
    str,
    typer.Option(
        "--align",
        metavar="LIST",
        help="Marginals to align: value, popularity, time; 'none' for none.",
        rich_help_panel=STEPS,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same events.", rich_help_panel=STEPS)]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=1024,
        help="All cores without; never changes a result.",
        rich_help_panel=OUTPUT,
    ),
]
MemoryLimitOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Such as 8GB; events beyond it wait in files beside --out. Three quarters of what is free without; never "
        "changes a result.",
        rich_help_panel=OUTPUT,
    ),
]
EngineOption = Annotated[
    Literal["local", "spark"],
    typer.Option("--engine", help="Where the events are made; Spark needs the extra 'spark'.", rich_help_panel=OUTPUT),
]
SparkMasterOption = Annotated[
    str | None,
    typer.Option(
        "--spark-master",
        metavar="URL",
        help="--engine spark: such as spark://host:7077, yarn, local[4]; local[*] without.",
        rich_help_panel=OUTPUT,
    ),
]
SparkConfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--spark-conf",
        metavar="NAME=VALUE",
        help="--engine spark: one of Spark's settings; may be repeated.",
        rich_help_panel=OUTPUT,
    ),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="New or empty folder; appears finished or not at all.",
        rich_help_panel=OUTPUT,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on from what a run into --out that was cut off has finished; the result is that of one run.",
        rich_help_panel=OUTPUT,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.", rich_help_panel=OUTPUT)
]


def memory_limit(text: str | None) -> int | None:
    """Return a memory limit in bytes; None where none is given.

    Raises:
        ConfigError: If it is no size, or too small.
    """
    from scalr.foundation import parse_bytes

    return None if text is None else parse_bytes(text)


def sources(values: list[str]) -> dict[str, str] | str:
    """Return `--source` values by domain name, or the one unnamed value.

    Raises:
        ConfigError: If several values are not all named, or a name stands twice.
    """
    named = [_name(value) for value in values]
    if len(values) == 1 and named[0][0] is None:
        return values[0]
    found: dict[str, str] = {}
    for name, files in named:
        if name is None or name in found:
            raise ConfigError(
                f"--source '{files}' has no name of its own" if name is None else f"two sources are called '{name}'",
                expected="with several sources, each as NAME=FILES with a name of its own",
                fix="--source feed=feed.parquet --source video=video.parquet",
            )
        found[name] = files
    return found


def _name(value: str) -> tuple[str | None, str]:
    """Split NAME=FILES; a value whose part before '=' looks like a path has no name."""
    name, found, files = value.partition("=")
    return (name, files) if found and name and not set(name) & set("/\\.*") else (None, value)


def columns(text: str | None) -> Columns | None:
    """Return column names given as role=name, separated by commas.

    Raises:
        ConfigError: If a part is not of that form, or no role has that name.
    """
    if text is None:
        return None
    roles = [role for role, _ in Columns().roles()]
    parts = [part.partition("=") for part in text.split(",")]
    for role, found, _ in parts:
        if not found or role.strip() not in roles:
            raise ConfigError(
                f"columns '{text}' cannot be read at '{role}'",
                expected=f"role=name, separated by commas, roles being {', '.join(roles)}",
                fix="--source-columns user=member,item=sku",
            )
    given = [role.strip() for role, _, _ in parts]
    if repeated := next((role for role in given if given.count(role) > 1), None):
        raise ConfigError(
            f"columns '{text}' name '{repeated}' twice",
            expected="each role once",
            fix="leave one of the two out",
        )
    return Columns(**{role.strip(): name.strip() for role, _, name in parts})


def privacy(text: str | None) -> dict[str, float]:
    """Return the privacy settings for a preset such as "k=5" or "epsilon=1,delta=1e-6"; nothing for None.

    Raises:
        ConfigError: If it is no such preset.
    """
    if text is None:
        return {}
    kinds = {"k": int, "epsilon": float, "delta": float, "pairs_per_user": int}
    parts = [[side.strip() for side in part.split("=")] for part in text.split(",")]
    try:
        return {name: kinds[name](value) for name, value in parts}
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"--privacy '{text}' cannot be read",
            expected="k=N, N being the least number of distinct other users behind a pair of items; or epsilon=E, with "
            "delta=D and pairs_per_user=M if wanted",
            fix="--privacy k=5",
        ) from error


def alignment(text: str) -> dict[str, list[str]] | None:
    """Return the alignment settings for a comma-separated list."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return None if names in ([], ["none"]) else {"by": names}
