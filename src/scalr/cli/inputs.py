"""What several commands do alike: settings from options, reading with progress, showing evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalr.cli import options as o
from scalr.cli.console import Terminal
from scalr.foundation import Receipt, Stopwatch
from scalr.logs import Columns

if TYPE_CHECKING:
    from scalr.foundation import Room, Steps
    from scalr.logs import LogRequest, StoredPair


@dataclass(frozen=True, slots=True)
class StepOptions:
    """Options of translating, sampling and refining, as the command line gives them."""

    seed: int
    translator: str
    draws: int
    strategy: str
    temperature: float
    min_support: int
    history_cap: int | None
    window_days: float | None
    backoff: float
    duplicates: str
    align: str
    privacy: str | None = None

    def steps(self, **others: dict[str, Any]) -> Steps:
        """Return checked settings.

        Args:
            others: Values of further sections, such as `split` and `train`.

        Raises:
            ConfigError: If a value is out of range.
        """
        from scalr.foundation import Steps

        values: dict[str, Any] = {
            "seed": self.seed,
            "translate": {
                "translator": self.translator,
                "history_cap": self.history_cap,
                "window_days": self.window_days,
                "backoff": self.backoff,
                "privacy": o.privacy(self.privacy),
            },
            "sample": {
                "draws_per_event": self.draws,
                "strategy": self.strategy,
                "temperature": self.temperature,
                "min_support": self.min_support,
            },
            "refine": {"duplicates": self.duplicates, "align": o.alignment(self.align)},
            **others,
        }
        return Steps.parse(values, "the command line")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Options of reading, as the command line gives them."""

    source: list[str]
    target: str
    items: str | None
    columns: Columns
    source_columns: str | None
    target_columns: str | None
    time_unit: o.TimeUnitName | None
    ids: o.IdKind
    drop_nulls: bool
    item_columns: bool = False

    def read(self, terminal: Terminal, room: Room | None = None) -> tuple[StoredPair, Receipt]:
        """Read the logs, show what is weak in them, and return them with the receipt of reading."""
        from scalr.logs import read_logs

        with Stopwatch() as watch:
            pair = read_logs(self.request(), room=room, board=terminal)
        for warning in pair.warnings:
            terminal.note(f"! {warning}")
        rows = len(pair.source) + len(pair.target)
        return pair, watch.receipt("read", rows, rows)

    def request(self) -> LogRequest:
        """Return the logs that the options name, and how to read them."""
        from scalr.logs import LogRequest

        return LogRequest(
            source=o.sources(self.source),
            target=self.target,
            items=self.items,
            columns=self.columns,
            source_columns=o.columns(self.source_columns),
            target_columns=o.columns(self.target_columns),
            time_unit=self.time_unit,
            ids=self.ids,
            drop_nulls=self.drop_nulls,
            item_columns=self.item_columns,
        )

    def refuse_inside(self, out: Path) -> None:
        """Refuse an output folder inside one of the logs.

        Raises:
            OutputError: If it is.
        """
        from scalr.runs import check_apart

        given = o.sources(self.source)
        check_apart(out, [*([given] if isinstance(given, str) else given.values()), self.target, self.items])

    def settings(self) -> dict[str, Any]:
        """Return the options by the names that a configuration has for them."""

        def plain(columns: Columns | None) -> dict[str, str | None] | None:
            return None if columns is None else dict(columns.roles())

        return {
            "source": o.sources(self.source),
            "target": self.target,
            "items": self.items,
            "columns": plain(self.columns),
            "source_columns": plain(o.columns(self.source_columns)),
            "target_columns": plain(o.columns(self.target_columns)),
            "time_unit": self.time_unit,
            "ids": self.ids,
            "drop_nulls": self.drop_nulls,
        }


def refuse_noise(steps: Steps) -> None:
    """Refuse differential privacy where many translations are fitted: each would spend the budget anew.

    Raises:
        ConfigError: If it is asked for.
    """
    from scalr.foundation import ConfigError

    if steps.translate.privacy.epsilon is not None:
        raise ConfigError(
            f"privacy.epsilon is {steps.translate.privacy.epsilon:g}, but a study fits anew for every seed and fold",
            expected="one fit, whose budget is what is said",
            fix="use it with scalr generate, or protect by --privacy k=N",
        )


def sweep_names(text: str) -> tuple[str, ...]:
    """Return the names of sweeps, given with commas between.

    Raises:
        ConfigError: If there is no sweep of a name.
    """
    from scalr.studies import checked_names

    return checked_names(name.strip() for name in text.split(",") if name.strip())
