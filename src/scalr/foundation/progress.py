"""How a long step tells how far it is, whoever listens: a terminal, a log, nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[int], None]


class Board(Protocol):
    """Shows stages one after another."""

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Advance:
        """Begin a stage and end the one before.

        Args:
            name: What is being done, in words.
            total: Units of work, or None where nobody knows.
            unit: What is counted.

        Returns:
            A function to call with the units done since its last call.
        """

    def note(self, text: str) -> None:
        """Show a sentence that stays."""


class SilentBoard:
    """Shows nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Advance:
        """Ignore the stage."""
        return lambda done: None

    def note(self, text: str) -> None:
        """Ignore the sentence."""
