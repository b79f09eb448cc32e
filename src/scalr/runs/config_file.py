"""Configuration files: reading them with changes from the command line, and writing them with comments."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from scalr.foundation import ColumnSettings, ConfigError, OutputError, RunSettings, Steps, TranslateSettings
from scalr.logs import StoredPair, summarise
from scalr.runs import plain_yaml as plainyaml
from scalr.runs.requests import PATHS

WIDTH = 100  # of comments, in characters


def read_config(file: Path, changes: list[str]) -> RunSettings:
    """Read settings; paths in the file are relative to the file's folder.

    Args:
        file: YAML with the settings of `RunSettings`.
        changes: "a.b=c" each, which override the file; c is parsed as YAML.

    Raises:
        ConfigError: If the file cannot be read, or a setting is unknown or out of range.
    """
    try:
        values = plainyaml.read(file)
    except FileNotFoundError as error:
        raise ConfigError(
            f"configuration '{file}' does not exist",
            expected="a YAML file",
            fix=f"scalr init {file} --source S --target T",
        ) from error
    except plainyaml.PlainYamlError as error:
        raise ConfigError(
            f"configuration '{file}' cannot be read: {error}",
            expected="plain YAML in UTF-8: no aliases, each name once",
            fix="correct that line",
        ) from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(
            f"configuration '{file}' holds {type(values).__name__}, not settings",
            expected="lines such as 'target: ads.parquet'",
            fix=f"scalr init {file}.new --source S --target T writes one to start from",
        )
    for key in PATHS:
        if key in values:
            values[key] = _from_folder(values[key], file.parent)
    for change in changes:
        apply_change(values, change)
    return RunSettings.parse(values, f"'{file}'")


def _from_folder(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: str(folder / one) if isinstance(one, str) else one for name, one in value.items()}
    return str(folder / value) if isinstance(value, str) else value


def apply_change(values: dict[str, Any], change: str) -> None:
    """Change a nested setting in place.

    Args:
        values: The settings.
        change: "a.b=c"; c is parsed as YAML.

    Raises:
        ConfigError: If `change` does not have that form.
    """
    path, separator, text = change.partition("=")
    if not separator or not all(path.split(".")):
        raise ConfigError(
            f"--set '{change}' cannot be read", expected="name=value", fix="--set sample.draws_per_event=8"
        )
    *folders, last = path.split(".")
    for name in folders:
        below = values.setdefault(name, {})
        if not isinstance(below, dict):
            below = values[name] = {}
        values = below
    try:
        values[last] = plainyaml.parse(text)
    except plainyaml.PlainYamlError as error:
        raise ConfigError(
            f"--set '{change}' has a value that cannot be read: {error}",
            expected="a YAML value",
            fix="quote it: --set 'a.b=\"text\"'",
        ) from error


def check_new(file: Path) -> None:
    """Refuse to overwrite a file, or to write into a missing folder.

    Raises:
        OutputError: If `file` exists or cannot be created.
    """
    if file.exists():
        raise OutputError(f"'{file}' exists already", expected="a new file", fix="choose another name, or remove it")
    if not file.resolve().parent.is_dir() or not os.access(file.resolve().parent, os.W_OK):
        raise OutputError(
            f"'{file}' cannot be written", expected="an existing folder you may write to", fix="choose another folder"
        )


def write_config(file: Path, pair: StoredPair, inputs: Mapping[str, Any]) -> None:
    """Write a configuration for these logs: every setting with its default and meaning, and the translator `auto`.

    Args:
        file: The new file.
        pair: The logs, for a summary at the top and the column names found.
        inputs: Settings of reading, by name.
    """
    folder = file.resolve().parent

    def relative(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: relative(one) for name, one in value.items()}
        return value if value is None else os.path.relpath(value, folder)

    settings = RunSettings(
        translate=TranslateSettings(translator="auto"),
        source=relative(inputs["source"]),
        target=relative(inputs["target"]),
        items=relative(inputs["items"]),
        columns=_columns(inputs["columns"]) or ColumnSettings(),
        source_columns=_columns(inputs["source_columns"]),
        target_columns=_columns(inputs["target_columns"]),
        time_unit=inputs["time_unit"],
        ids=inputs["ids"],
        drop_nulls=inputs["drop_nulls"],
    )
    found, summary = pair.target.columns.roles(), summarise(pair)
    lines = ["# Settings of `scalr run`. Paths are relative to this file.", "#"]
    lines += [
        f"# {domain['name']}: {domain['users']:,} users, {domain['items']:,} items, {domain['events']:,} events"
        for domain in summary.to_json()["domains"]
    ]
    lines += [
        f"# {summary.overlap_users:,} users are in both.",
        "# Columns found in the target log: " + ", ".join(f"{role} {name}" for role, name in found if name),
        *(f"# Note: {warning}" for warning in pair.warnings),
        "",
    ]
    first = [name for name in RunSettings.model_fields if name not in Steps.model_fields]
    names = first + [name for name in RunSettings.model_fields if name not in first]
    for name in names:
        lines += _setting(settings, name, 0)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _columns(names: Mapping[str, str | None] | None) -> ColumnSettings | None:
    return None if names is None else ColumnSettings(**names)


def _setting(settings: BaseModel, name: str, depth: int) -> Iterator[str]:
    """Yield the lines of a setting: its comment, then its value, or the settings of a section."""
    indent, value = "  " * depth, getattr(settings, name)
    for line in textwrap.wrap(type(settings).model_fields[name].description or "", WIDTH - len(indent)):
        yield f"{indent}# {line}"
    if isinstance(value, BaseModel):
        yield f"{indent}{name}:"
        for below in type(value).model_fields:
            yield from _setting(value, below, depth + 1)
        return
    plain = settings.model_dump(mode="json")[name]
    yield from (
        indent + line for line in yaml.safe_dump({name: plain}, allow_unicode=True, width=1000).rstrip().splitlines()
    )
