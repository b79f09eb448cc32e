"""Repeat a finished run from its manifest, and compare the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scalr.foundation import (
    ConfigError,
    InputError,
    RunSettings,
    Steps,
    __version__,
    describe_environment,
)
from scalr.logs import files_digest, find_files
from scalr.runs.config_file import apply_change
from scalr.runs.execution import Execution
from scalr.runs.generating import write_generation
from scalr.runs.manifest import read_manifest
from scalr.runs.requests import PATHS, absolute_paths, generation_request, read_timed
from scalr.runs.resuming import RunPlan, remove_leftovers
from scalr.runs.running import run_in_folder

COMMANDS = ("run", "generate")
_NOT_READING = {*Steps.model_fields, "layout", "leaks"}  # all other settings of a generation are about reading


@dataclass(frozen=True, slots=True)
class Request:
    """The request in a manifest.

    Attributes:
        manifest: The whole manifest.
        settings: The settings, with the logs.
    """

    manifest: Mapping[str, Any]
    settings: RunSettings


@dataclass(frozen=True, slots=True)
class Repetition:
    """A repeated run.

    Attributes:
        manifest: The new manifest; of a run with the study under "evaluation".
        equal: Files with the same digest in both manifests, of all Parquet files and the study.
        differing: Files with another digest, or in only one of the manifests.
    """

    manifest: Mapping[str, Any]
    equal: tuple[str, ...]
    differing: tuple[str, ...]


def read_request(file: Path, changes: Sequence[str] = ()) -> Request:
    """Read the request in a manifest, and check that the inputs have not changed.

    Args:
        file: The manifest, or the folder it is in.
        changes: "source=PATH", "source.NAME=PATH", "target=PATH" or "items=PATH", for logs that have moved.

    Raises:
        InputError: If there is no such manifest, or the content of an input has changed.
        ConfigError: If the manifest has no request, or `changes` has another setting.
    """
    manifest = read_manifest(file)
    command, asked = manifest["command"], manifest.get("request")
    if command not in COMMANDS or not isinstance(asked, dict):
        raise ConfigError(
            f"'{file}' is the manifest of scalr {command}, version {manifest['version']}",
            expected=f"that of scalr {' or '.join(COMMANDS)}, with a 'request'",
            fix="repeat the command itself",
        )
    values = dict(asked)
    for change in changes:
        if change.partition("=")[0].split(".")[0] not in PATHS:
            raise ConfigError(
                f"--set '{change}' would make another run of it",
                expected=f"with --from-manifest, only {', '.join(PATHS)}: where the same files are now",
                fix="write a configuration for another run",
            )
        apply_change(values, change)
    settings = RunSettings.parse(absolute_paths(values), f"'{file}'")
    for what in _other_inputs(manifest, settings):
        raise InputError(
            what,
            expected="the files that the run was made from (their SHA-256 is in the manifest)",
            fix="name where they are now: --set target=PATH",
        )
    return Request(manifest, settings)


def repeat_run(request: Request, out: Path, execution: Execution | None = None) -> Repetition:
    """Repeat a run or a generation and compare the results; other versions may give other results.

    Args:
        request: From `read_request`.
        out: A new folder.
        execution: Threads, memory, progress, and whether to continue an interrupted repetition.

    Raises:
        InputError: If a log or the folder cannot be used.
    """
    settings, execution = request.settings, execution or Execution()
    if request.manifest["command"] == "run":
        manifest = run_in_folder(settings, out, execution)
    else:
        manifest, _ = write_generation(
            partial(read_timed, settings), _steps(settings), out, inputs=_reading(request), layout=settings.layout,
            leaks=settings.leaks, execution=execution,
        )  # fmt: skip
    before, after = _results(request.manifest), _results(manifest)
    equal = tuple(name for name in sorted(after) if after[name] == before.get(name))
    return Repetition(manifest, equal, tuple(sorted((before.keys() | after.keys()) - set(equal))))


def plan_of(request: Request) -> RunPlan:
    """Return the plan of a repetition."""
    settings, command = request.settings, request.manifest["command"]
    if command == "run":
        return RunPlan(command, absolute_paths(settings.model_dump(mode="json")))
    asked = generation_request(_steps(settings), _reading(request), settings.layout, settings.leaks)
    return RunPlan(command, asked)


def _steps(settings: RunSettings) -> Steps:
    return Steps(**{name: getattr(settings, name) for name in Steps.model_fields})


def _reading(request: Request) -> dict[str, Any]:
    """Return the settings for reading the logs of a generation."""
    names = set(request.manifest["request"]) - _NOT_READING
    return {name: value for name, value in request.settings.model_dump(mode="json").items() if name in names}


def differences(manifest: Mapping[str, Any]) -> list[str]:
    """Return a sentence per difference between the versions of a run and the installed versions."""
    then, now = manifest.get("environment") or {}, describe_environment()
    pairs = [("scalr", manifest["version"], __version__), ("Python", then.get("python"), now["python"])]
    pairs += [(name, then.get("libraries", {}).get(name), version) for name, version in now["libraries"].items()]
    return [f"made with {name} {before}, repeated with {after}" for name, before, after in pairs if before != after]


def already_finished(out: Path, plan: RunPlan) -> dict[str, Any] | None:
    """Return the manifest of a finished output of the same plan and inputs; None if there is none.

    Leftovers of the run beside the output are removed.
    """
    if not (out / "manifest.json").is_file():
        return None
    manifest = read_manifest(out)
    is_same = (manifest["command"], manifest["version"]) == (plan.command, __version__)
    if not is_same or manifest.get("request") != plan.settings:
        return None
    if next(_other_inputs(manifest, RunSettings.parse(dict(plan.settings))), None):
        return None
    remove_leftovers(out)
    return manifest


def _other_inputs(manifest: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    """Yield a sentence per input whose digest differs from the manifest."""
    inputs = manifest.get("inputs") or ()
    for role in PATHS:
        given: Any = getattr(settings, role)
        named = given if isinstance(given, dict) else {None: given} if given else {}
        for name, path in named.items():
            stated = next(
                (one.get("digest") for one in inputs if one["role"] == role and name in (None, one.get("name"))), None
            )
            if files_digest(find_files(path)[0]) != stated:
                yield f"{role} '{os.path.relpath(path)}' is not the file that the run was made from"


def _results(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        one["file"]: one["sha256"]
        for one in manifest["outputs"]
        if one["file"].endswith(".parquet") or one["file"] == "evaluation.json"
    }
