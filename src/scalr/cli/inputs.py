"""Inputs of commands: reading with progress, and checks before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalr.foundation import ConfigError, Receipt, Stopwatch

if TYPE_CHECKING:
    from scalr.cli.console import Terminal
    from scalr.foundation import LogSettings, Room, Steps
    from scalr.logs import StoredPair


def read_with_warnings(
    logs: LogSettings, terminal: Terminal, room: Room | None = None, *, item_columns: bool = False
) -> tuple[StoredPair, Receipt]:
    """Read logs and show warnings about them.

    Args:
        logs: The logs and how they are read.
        terminal: Shows progress and warnings.
        room: Memory, threads and a folder for temporary files.
        item_columns: Add columns of the target log that depend on the item alone to the item table.

    Returns:
        The logs, and the receipt of reading.
    """
    from scalr.logs import LogRequest, read_logs

    with Stopwatch() as watch:
        pair = read_logs(LogRequest.from_settings(logs, item_columns=item_columns), room=room, board=terminal)
    for warning in pair.warnings:
        terminal.note(f"! {warning}")
    rows = len(pair.source) + len(pair.target)
    return pair, watch.receipt("read", rows, rows)


def check_output(out: Path, logs: LogSettings) -> None:
    """Refuse an output folder inside one of the logs.

    Raises:
        OutputError: If it is.
    """
    from scalr.runs import check_apart

    sources = [logs.source] if isinstance(logs.source, str) else list(logs.source.values())
    check_apart(out, [*sources, logs.target, logs.items])


def refuse_noise(steps: Steps) -> None:
    """Refuse differential privacy where several translations are fitted, since each fit spends the budget again.

    Raises:
        ConfigError: If the settings have it.
    """
    if steps.translate.privacy.epsilon is not None:
        raise ConfigError(
            f"privacy.epsilon is {steps.translate.privacy.epsilon:g}, but a study fits again for every seed and fold",
            expected="a single fit, which spends the budget once",
            fix="use it with scalr generate, or protect with --privacy k=N",
        )
