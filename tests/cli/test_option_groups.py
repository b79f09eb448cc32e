"""Options are built from settings: types, defaults and help of the fields; values back into validated settings."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from scalr.cli.option_groups import OptionGroup, TextForm, with_options
from scalr.cli.options import LOGS, STEPS, steps_of
from scalr.foundation.config import PrivacySettings, Steps
from scalr.foundation.errors import ConfigError
from scalr.foundation.validation import Option, Settings


class Inner(Settings):
    """A section."""

    depth: Annotated[int, Field(ge=1), Option("--depth", "-d", metavar="N")] = 3
    """Depth of the tree.

    A detail for the configuration file."""
    hidden: int = 7
    """A setting without an option."""


class Outer(Settings):
    """Settings with options of every kind."""

    file: Annotated[Path, Option(metavar="FILE")]
    """A positional argument."""
    name: Annotated[str, Option("--name")]
    """A required option."""
    inner: Inner = Inner()
    """A section."""
    mode: Annotated[Literal["fast", "slow"] | None, Option("--mode")] = None
    """A choice."""
    rate: Annotated[float | None, Option("--rate", zero_is_null=True, note="0 for none.")] = 0.5
    """A rate."""
    switch: Annotated[bool | None, Option("--switch/--no-switch")] = None
    """A switch with three states."""
    tags: Annotated[tuple[str, ...], Option("--tag")] = ()
    """An option that may be repeated."""
    pair: Annotated[dict[str, str], Option("--pair")] = {}  # noqa: RUF012 - pydantic copies it
    """A setting with a text form."""


PAIR = TextForm(lambda text: dict([text.split("=")]) if text else {})
GROUP = OptionGroup(Outer, "Panel", forms={"pair": PAIR})


def run(group: OptionGroup, *arguments: str) -> tuple[int, Settings | None, str]:
    values: list[Settings | None] = []

    @with_options(settings=group)
    def command(settings: Settings | None) -> None:
        """Collect the settings."""
        values.append(settings)

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, values[0] if values else None, result.output


def test_defaults_are_those_of_the_fields() -> None:
    assert run(GROUP, "f", "--name", "n")[1] == Outer(file=Path("f"), name="n")


def test_every_kind_of_value_arrives() -> None:
    options = "f --name n -d 4 --mode slow --rate 2 --no-switch --tag a --tag b --pair k=v"
    expected = Outer(
        file=Path("f"), name="n", inner=Inner(depth=4), mode="slow", rate=2.0, switch=False, tags=("a", "b"),
        pair={"k": "v"},
    )  # fmt: skip
    assert run(GROUP, *options.split())[1] == expected


def test_zero_can_stand_for_null() -> None:
    assert run(GROUP, "f", "--name", "n", "--rate", "0")[1] == Outer(file=Path("f"), name="n", rate=None)


def test_the_help_is_the_first_paragraph_and_the_note() -> None:
    code, _, text = run(GROUP, "--help")
    assert code == 0
    assert "Depth of the tree." in text
    assert "A detail" not in text
    assert "A rate. 0 for none." in text
    assert "fast|slow" in text
    assert "hidden" not in text


def test_bounds_are_checked_by_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"^ConfigError: setting 'inner.depth' of the command line is 0\n"):
        run(GROUP, "f", "--name", "n", "--depth", "0")
    with pytest.raises(ConfigError, match=r"setting 'mode' of the command line is 'late'"):
        run(GROUP, "f", "--name", "n", "--mode", "late")


def test_required_values_are_required_unless_the_group_is_optional() -> None:
    assert run(GROUP, "f")[0] == 2
    group = OptionGroup(Outer, only=("name", "file"), is_optional=True)
    assert run(group) == (0, None, "")
    assert run(group, "f")[1] is None
    assert run(group, "f", "--name", "n")[1] == Outer(file=Path("f"), name="n")


def test_a_group_may_have_other_defaults_and_fewer_options() -> None:
    group = OptionGroup(Outer, only=("inner", "name"), defaults={"name": "other", "inner.depth": 9})
    assert [parameter.name for parameter in group.parameters()] == ["depth", "name"]
    assert [parameter.default for parameter in group.parameters()] == [9, "other"]


def test_steps_are_the_default_settings_without_options() -> None:
    def built(group: OptionGroup) -> Settings | None:
        return group.build({parameter.name: parameter.default for parameter in group.parameters()})

    assert built(STEPS) == Steps()
    assert built(steps_of("translate", translate__translator="auto")) == Steps.parse(
        {"translate": {"translator": "auto"}}
    )


def test_privacy_sets_only_what_the_text_has() -> None:
    _, steps, _ = run(steps_of("translate.privacy"), "--privacy", "k=5")
    assert isinstance(steps, Steps)
    assert steps.translate.privacy == PrivacySettings(k=5)
    assert steps.translate.privacy.model_fields_set == {"k"}


def test_every_option_has_help_and_every_log_option_a_panel() -> None:
    for group in (LOGS, STEPS):
        for parameter in group.parameters():
            info = get_args(parameter.annotation)[1]
            assert info.help
            assert info.rich_help_panel == group.panel
