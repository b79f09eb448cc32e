"""Progress of long steps, independent of where it is shown: a terminal, a log, nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[int], None]


class Board(Protocol):
    """Shows the progress of stages, one at a time."""

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Advance:
        """Begin a stage, and end the previous stage.

        Args:
            name: What the stage does, in words.
            total: Units of work, or None if unknown.
            unit: Name of the units.

        Returns:
            A function that is called with the number of units done since its last call.
        """

    def note(self, text: str) -> None:
        """Show a sentence that remains after the stage."""


class SilentBoard:
    """A board that shows nothing."""

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Advance:
        """Ignore the stage."""
        return lambda done: None

    def note(self, text: str) -> None:
        """Ignore the sentence."""
