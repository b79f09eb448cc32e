"""Base of all settings: frozen values with bounds, errors that name the wrong value, and facts of the command line."""

from __future__ import annotations

import hashlib
import json
import reprlib
import typing
from typing import Annotated, Any, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from scalr.foundation.errors import ConfigError, nearest_name

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80  # characters of a value that an error shows
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]


class Option:
    """Command-line option of a setting, for the annotation of its field.

    Type, default, bounds and help are those of the field; the help is the first paragraph of its docstring.

    Attributes:
        names: Spellings, such as ("--out", "-o"); a positional argument has none.
        metavar: Placeholder of the value in the help; empty for the one of the type.
        note: Sentence for the help alone.
        zero_is_null: 0 on the command line is null in the settings.
    """

    def __init__(self, *names: str, metavar: str = "", note: str = "", zero_is_null: bool = False) -> None:
        self.names = names
        self.metavar = metavar
        self.note = note
        self.zero_is_null = zero_is_null


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown names, with errors that state a fix."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str = "") -> Self:
        """Build settings from plain values.

        Args:
            values: Nested mapping of names to values.
            where: Origin of the values, for the first line of the error.

        Raises:
            ConfigError: If a name is unknown or a value out of range.
        """
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise _config_error(cls, error, where) from error

    def digest(self) -> str:
        """Return a hash of the settings: 16 hexadecimal digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _config_error(cls: type[BaseModel], error: pydantic.ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    path = _setting_path(cls, first["loc"])
    name, source = ".".join(path), f" of {where}" if where else ""
    if first["type"] == "extra_forbidden":
        known = _names_at(cls, path[:-1])
        near = nearest_name(path[-1], known)
        return ConfigError(
            f"unknown setting '{name}'{source}",
            expected=f"one of {', '.join(known)}",
            fix=f"did you mean '{'.'.join([*path[:-1], near])}'?"
            if near
            else "remove it, or see `scalr init` for all settings",
        )
    if first["type"] == "missing":
        return ConfigError(
            f"setting '{name}'{source} is missing", expected=first["msg"].lower(), fix=f"add '{name}:' with a value"
        )
    return ConfigError(
        f"setting '{name}'{source} is {_SHORT.repr(first['input'])}",
        expected=first["msg"].removeprefix("Input should be ").removeprefix("Value error, ").replace("tuple", "list"),
        fix=f"set '{name}' to such a value",
    )


def _setting_path(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the names of a location, without list positions and without what pydantic adds below a plain setting."""
    path: list[str] = []
    for part in location:
        if isinstance(part, str):
            path.append(part)
            if part in _names_at(cls, path[:-1]) and not _is_section(cls, path):
                break
    return path


def _is_section(cls: type[BaseModel], path: list[str]) -> bool:
    return _names_at(cls, path) != _names_at(cls, path[:-1])


def _names_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    """Return the names of the settings below `path`, which may hold list positions."""
    for part in path:
        if part in cls.model_fields:
            annotation = cls.model_fields[part].annotation
            for choice in (annotation, *typing.get_args(annotation)):  # the second for "AlignSettings | None"
                if isinstance(choice, type) and issubclass(choice, BaseModel):
                    cls = choice
    return list(cls.model_fields)
