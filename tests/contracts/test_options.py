"""The command line is a contract: every option with its spellings and its default, as users' scripts rely on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from scalr import cli

PINNED = Path(__file__).parent / "options.json"


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def described(option: Any) -> dict[str, Any]:
    """Return what a script depends on: default, whether it is required, may be repeated, or takes no value."""
    default = None if option.required or option.default in ([], ()) else option.default
    return {
        "default": default if default is None or isinstance(default, bool | int | float) else str(default),
        "required": option.required,
        "repeatable": bool(option.multiple),
        "flag": bool(getattr(option, "is_flag", False)),
    }


def options() -> dict[str, dict[str, dict[str, Any]]]:
    return {
        name: {
            " ".join([*param.opts, *param.secondary_opts] if param.param_type_name == "option" else ["(argument)"]): (
                described(param)
            )
            for param in command.params
        }
        for name, command in sorted(commands().items())
    }


def test_every_command_has_the_pinned_options_and_defaults() -> None:
    assert options() == json.loads(PINNED.read_text())
