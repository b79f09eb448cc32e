"""The subcommands of `scalr`, each of which is imported when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

SUMMARIES = {
    "demo": "Generate and evaluate on a year of shopping: groceries as source, drug-store goods as target.",
    "init": "Read the logs and write a configuration with every setting, its default and its meaning.",
    "run": "Generate synthetic events and study their effect, with the settings of a file.",
    "generate": "Draw synthetic target events for all source events, refine them, and write them as Parquet.",
    "study": "Train with and without synthetic events, and with controls, over several seeds; report what helps.",
    "export": "Join real target events and weighted synthetic events, and write them in the format of another library.",
    "inspect": "Show the stages of a run and check that its files are unchanged; or summarise logs.",
    "doctor": "List what is installed, what is missing and how to install it.",
}
"""First paragraph of the help of every subcommand, in the order of the help."""


class Subcommands(Mapping[str, Any]):
    """Subcommands by name, built from their modules on first use."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in SUMMARIES:
            raise KeyError(name)
        if name not in self._built:
            module = import_module(f"scalr.cli.{name}")
            app = typer.Typer(add_completion=False, rich_markup_mode="rich")
            app.command(name, epilog=module.EXAMPLE)(module.command)
            self._built[name] = typer.main.get_command(app)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


class CommandGroup(TyperGroup):
    """The command `scalr`: a subcommand loads its own module only, and the help loads none."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Subcommands()  # type: ignore[assignment]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the summaries of the subcommands."""
        summarised = copy(self)
        summarised.commands = {name: TyperCommand(name, help=summary) for name, summary in SUMMARIES.items()}
        super(CommandGroup, summarised).format_help(ctx, formatter)
