"""`manifest.json`: the files of a folder and how they were made."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from scalr.foundation import InputError, Receipt, __version__, describe_environment, peak_rss_bytes, shortened
from scalr.logs import file_digest

MANIFEST_SCHEMA = "scalr.manifest/1"
_MOST_BYTES = 1 << 26  # of a manifest; a manifest of 100,000 files has a third of that
NEEDED = ("command", "seed", "stages", "outputs", "synthetic_events", "item_coverage", "version", "created_at")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write indented JSON; NaN is refused, so that every parser accepts the file."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n", encoding="utf-8")


def write_manifest(
    folder: Path,
    receipts: Iterable[Receipt],
    facts: Mapping[str, Any],
    digests: Mapping[Path, str] | None = None,
    file: Path | None = None,
) -> dict[str, Any]:
    """Write `manifest.json` on all files of `folder`, and return its content.

    Args:
        folder: The folder to describe.
        receipts: One per stage, in order.
        facts: Command, seed, settings, inputs and results, for the top level.
        digests: Known SHA-256 of files; the other files are read.
        file: The file to write instead; file names are then relative to its folder.
    """
    top = folder if file is None else file.parent
    files, known = sorted(one for one in folder.rglob("*") if one.is_file()), digests or {}
    outputs = [
        {
            "file": one.relative_to(top).as_posix(),
            "bytes": one.stat().st_size,
            "sha256": known.get(one) or file_digest(one),
        }
        for one in files
    ]
    manifest = {
        "schema": MANIFEST_SCHEMA,
        "version": __version__,
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        **facts,
        "stages": {receipt.stage: receipt.to_json() for receipt in receipts},
        "peak_rss_bytes": peak_rss_bytes(),
        "environment": describe_environment(),
        "outputs": outputs,
    }
    write_json(file or folder / "manifest.json", manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a finished folder, or a manifest file of any name.

    Raises:
        InputError: If the manifest is missing or cannot be read.
    """
    file = folder if folder.is_file() else folder / "manifest.json"
    try:
        if not file.is_file():
            raise FileNotFoundError(file)
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"longer than {_MOST_BYTES:,} bytes")
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"'{folder}' has no manifest that can be read ({type(error).__name__})",
            expected="a finished folder of scalr run, generate, study or demo, with manifest.json",
            fix="name the folder of --out",
        ) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST_SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise InputError(
            f"'{file}' has schema {found!r}",
            expected=f"schema '{MANIFEST_SCHEMA}'",
            fix="use the version of scalr that wrote the folder",
        )
    if missing := [name for name in NEEDED if name not in manifest]:
        raise InputError(
            f"'{file}' has no '{missing[0]}'", expected="a manifest as scalr wrote it", fix="make the folder again"
        )
    if odd := next((name for name, fits in _SHAPES.items() if not fits(manifest.get(name))), None):
        raise InputError(
            f"'{odd}' in the manifest '{file}' is not what it must be: {shortened(repr(manifest.get(odd)), 80)}",
            expected="a manifest as scalr wrote it",
            fix="make the folder again",
        )
    return manifest


def _are_stages(value: Any) -> bool:
    numbers = {"rows_in", "rows_out", "wall_seconds", "cpu_seconds"}
    return _is_mapping(value) and all(
        _is_mapping(one)
        and all(_is_number(one.get(name)) for name in numbers)
        and _are_marginals(one.get("marginals", []))
        for one in value.values()
    )


def _are_marginals(value: Any) -> bool:
    return isinstance(value, list) and all(
        _is_mapping(one)
        and isinstance(one.get("by"), str)
        and (one.get("total_variation_after") is None or _is_number(one["total_variation_after"]))
        for one in value
    )


def _are_settings(value: Any) -> bool:
    """Return whether column names are valid; they are read before the other settings are checked."""
    return value is None or (
        _is_mapping(value)
        and all(
            one is None or (_is_mapping(one) and all(name is None or isinstance(name, str) for name in one.values()))
            for one in (value.get(name) for name in ("columns", "source_columns", "target_columns"))
        )
    )


def _are_inputs(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            _is_mapping(one)
            and one.get("role") in ("source", "target", "items")
            and isinstance(one.get("files"), list)
            and all(isinstance(file, str) for file in one["files"])
            and isinstance(one.get("digest", ""), str)
            and _is_number(one.get("rows", 0))
            for one in value
        )
    )


def _are_outputs(value: Any) -> bool:
    """Return whether these are digests of files below the folder."""
    return isinstance(value, list) and all(
        _is_mapping(one) and isinstance(one.get("sha256"), str) and _is_below(one.get("file")) for one in value
    )


def _is_below(name: Any) -> bool:
    if not isinstance(name, str) or "\0" in name:
        return False
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "seed": _is_whole,
    "synthetic_events": _is_number,
    "item_coverage": _is_number,
    "stages": _are_stages,
    "outputs": _are_outputs,
    "settings": _are_settings,
    "inputs": _are_inputs,
    "environment": lambda value: value is None or (_is_mapping(value) and _is_mapping(value.get("libraries", {}))),
}
"""Checks of parts of a manifest before they are used: the file may come from somebody else."""


def check_outputs(
    folder: Path, manifest: Mapping[str, Any], progress: Callable[[int], None] | None = None
) -> list[str]:
    """Return the files that are missing or whose digest differs from the manifest."""
    changed = []
    for one in manifest["outputs"]:
        file = folder / one["file"]
        if not file.is_file() or file_digest(file) != one["sha256"]:
            changed.append(str(one["file"]))
        if progress:
            progress(1)
    return changed
