"""Commands built from settings: every option takes its type, default, bounds and help from a field."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from scalr.foundation import Option, Settings

_ORIGIN = "the command line"


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a setting that is no single number, word or path is written on the command line.

    Attributes:
        parse: Converts the value of the option into the value of the setting.
        default: Default of the option.
        kind: Type of the option.
    """

    parse: Callable[[Any], Any]
    default: Any = None
    kind: Any = str | None


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """The options of a settings class, with one panel in the help.

    Attributes:
        settings: The class; its fields with an `Option`, and those of its sections, are the options.
        panel: Title of the panel; None for the panel of the general options.
        only: Dotted names of the fields and sections that the group has, in the order of the help; empty for all.
        defaults: Defaults other than those of the fields, by dotted name.
        forms: Text forms by dotted name.
        is_optional: Do not require any option; the group is None without the values of its required fields.
    """

    settings: type[Settings]
    panel: str | None = None
    only: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    forms: Mapping[str, TextForm] = field(default_factory=dict)
    is_optional: bool = False

    def parameters(self) -> list[inspect.Parameter]:
        """Return one parameter per option, as Typer reads them from a signature."""
        return [self._parameter(name, facts) for name, facts in self._fields()]

    def build(self, options: Mapping[str, Any]) -> Settings | None:
        """Return validated settings.

        Args:
            options: Values of the options by parameter name; may hold those of other groups.

        Raises:
            ConfigError: If a value is out of range.
        """
        values: dict[str, Any] = {}
        for name, facts in self._fields():
            option, value = _option_of(facts), options[_parameter_name(name, facts)]
            if self.is_optional and facts.is_required() and not value:
                return None
            if name in self.forms:
                value = self.forms[name].parse(value)
            elif value is None:
                continue  # the default of the field applies
            *sections, last = name.split(".")
            section = values
            for part in sections:
                section = section.setdefault(part, {})
            section[last] = None if option.zero_is_null and value == 0 else value
        return self.settings.parse(values, _ORIGIN)

    def _fields(self) -> Iterator[tuple[str, FieldInfo]]:
        """Yield (dotted name, field) of every option."""
        fields = dict(_fields_of(self.settings))
        for selected in self.only or ("",):
            yield from (
                (name, facts) for name, facts in fields.items() if not selected or f"{name}.".startswith(f"{selected}.")
            )

    def _parameter(self, name: str, facts: FieldInfo) -> inspect.Parameter:
        option, form = _option_of(facts), self.forms.get(name)
        default = form.default if form else facts.default
        if facts.is_required():
            default = None if self.is_optional else inspect.Parameter.empty
        default = self.defaults.get(name, default)
        shown: dict[str, Any] = {
            "metavar": option.metavar or "|".join(_choices(facts.annotation)) or None,
            "help": _help(facts),
            "rich_help_panel": self.panel,
        }
        kind: Any = form.kind if form else _kind(facts.annotation)
        return inspect.Parameter(
            _parameter_name(name, facts),
            inspect.Parameter.KEYWORD_ONLY,
            default=None if default == () else default,
            annotation=Annotated[
                kind, typer.Option(*option.names, **shown) if option.names else typer.Argument(**shown)
            ],
        )


def with_options(**groups: OptionGroup) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose parameters are the settings of option groups, by parameter name."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def command(**options: Any) -> None:
            function(**{name: group.build(options) for name, group in groups.items()})

        parameters = [parameter for group in groups.values() for parameter in group.parameters()]
        command.__doc__, command.__name__ = function.__doc__, function.__name__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _fields_of(settings: type[Settings], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted name, field) of every field with an option, sections included."""
    for name, facts in settings.model_fields.items():
        if any(isinstance(part, Option) for part in facts.metadata):
            yield above + name, facts
        elif isinstance(facts.annotation, type) and issubclass(facts.annotation, Settings):
            yield from _fields_of(facts.annotation, f"{above}{name}.")


def _option_of(facts: FieldInfo) -> Option:
    return next(part for part in facts.metadata if isinstance(part, Option))


def _parameter_name(name: str, facts: FieldInfo) -> str:
    """Return the long spelling of an option as an identifier; the name of the setting for an argument."""
    spellings = [spelling for spelling in _option_of(facts).names if spelling.startswith("--")]
    long = spellings[0].partition("/")[0] if spellings else name.rpartition(".")[2]
    return long.removeprefix("--").replace("-", "_")


def _help(facts: FieldInfo) -> str:
    """Return the first paragraph of a field's docstring and the note of its option."""
    first = (facts.description or "").partition("\n\n")[0]
    return " ".join([*first.split(), _option_of(facts).note]).strip()


def _kind(annotation: Any) -> Any:
    """Return the type of an option for the type of a field: bounds are left to the settings, literals are text."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return str
    if origin is tuple:
        return list[_kind(parts[0])] | None  # type: ignore[misc]
    if NoneType in parts:
        return _kind(next(part for part in parts if part is not NoneType)) | None
    return annotation


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the values of a literal, or of one that may be None."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return parts
    return next((get_args(part) for part in parts if get_origin(part) is Literal and NoneType in parts), ())
