"""Finished runs with an edited manifest or damaged files: audited, checked for leaks, exported, repeated."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.trust.battery import Case, Desk, column

from scalr.cli import main

_MADE: dict[tuple[str, ...], tuple[str, dict[str, bytes]]] = {}
"""Per options of `generate`: the folder of the first run with them, and its files."""


def finished(desk: Desk, *options: str) -> Path:
    """Lay a finished run into `run/`, beside its logs; it is made once, and copied with its paths."""
    out = desk.folder / "run"
    line = desk.generate(None, None, *options, "--quiet", "--out", str(out))
    if options not in _MADE:
        assert main(line) == 0
        files = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
        _MADE[options] = (str(desk.folder), files)
    first, files = _MADE[options]
    for name, content in files.items():
        file = out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(
            content.replace(first.encode(), str(desk.folder).encode()) if name.endswith("json") else content
        )
    return out


def command(kind: str, desk: Desk) -> list[str]:
    """Return the command line that reads the finished run."""
    run = str(desk.folder / "run")
    logs = ["--source", str(desk.folder / "source.parquet"), "--target", str(desk.folder / "target.parquet")]
    return {
        "audit": ["inspect", run, "--audit"],
        "leaks": ["inspect", run, "--leaks"],
        "files": ["inspect", f"{run}/synthetic", "--audit", "--quiet", *logs],
        "export": ["export", run, "--to", "pandas", "--out", str(desk.out)],
        "repeat": ["run", "--from-manifest", f"{run}/manifest.json", "--out", str(desk.out)],
    }[kind]


def edited(kind: str, path: str, value: Any, says: str | None) -> Case:
    """Return a case whose manifest has another value at a path such as "inputs/0/digest"; `...` takes it away."""

    def make(desk: Desk) -> list[str]:
        file = finished(desk) / "manifest.json"
        manifest = json.loads(file.read_text())
        *folders, last = [int(one) if one.isdigit() else one for one in path.split("/")]
        place = manifest
        for one in folders:
            place = place[one]
        if value is ...:
            del place[last]
        else:
            place[last] = value
        file.write_text(json.dumps(manifest))
        return command(kind, desk)

    return Case(make, says)


def text(kind: str, change: Callable[[str], str], says: str | None) -> Case:
    """Return a case whose manifest is another text."""

    def make(desk: Desk) -> list[str]:
        file = finished(desk) / "manifest.json"
        file.write_text(change(file.read_text()))
        return command(kind, desk)

    return Case(make, says)


def harmed(kind: str, harm: Callable[[Path], Any], says: str, *options: str, file: str = "") -> Case:
    """Return a case with a harmed file of the run: the first part of the events, or the one that is named."""

    def make(desk: Desk) -> list[str]:
        run = finished(desk, *options)
        harm(run / file if file else next((run / "synthetic").iterdir()))
        return command(kind, desk)

    return Case(make, says)


def rows(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda file: pq.write_table(change(pq.read_table(file)), file)


def values(name: str, value: Any, kind: pa.DataType | None = None) -> Callable[[Path], None]:
    """Return a harm: one value in a whole column."""
    return rows(lambda table: column(name, pa.array([value] * len(table), kind))(table))


def _piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _foldered(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _doubled(file: Path) -> None:
    shutil.copy(file, file.with_name("part-99999.parquet"))


MARGINAL = {"rows_in": 1, "rows_out": 1, "wall_seconds": 0, "cpu_seconds": 0}
ODD = "is not what it must be"
NO_FILE = "is not the file that the run was made from"

MANIFESTS = {
    "cut short": text("repeat", lambda whole: whole[:1000], "no manifest that can be read"),
    "longer than memory may be": text("repeat", lambda whole: whole + " " * (1 << 26), "no manifest that can be read"),
    "100,000 lists deep": text(
        "repeat", lambda whole: whole.replace('"request": {', '"request": {"x": ' + "[" * 100_000), "no manifest"
    ),
    "no inputs": edited("repeat", "inputs", ..., NO_FILE),
    "inputs that are null": edited("repeat", "inputs", None, NO_FILE),
    "inputs that are an empty list": edited("repeat", "inputs", [], NO_FILE),
    "an input of nothing": edited("repeat", "inputs", [{}], "'inputs' in the manifest"),
    "an input of a role that is code": edited("repeat", "inputs/0/role", "__class__", ODD),
    "an input of a role that is a setting": edited("repeat", "inputs/0/role", "seed", ODD),
    "an input of a role that is a list": edited("repeat", "inputs/0/role", [1], ODD),
    "an input with a wrong digest": edited("repeat", "inputs/1/digest", "0" * 64, NO_FILE),
    "an input with a digest that is a number": edited("repeat", "inputs/0/digest", 5, ODD),
    "an input without a digest": edited("repeat", "inputs/0/digest", ..., NO_FILE),
    "another log than it was made from": edited("repeat", "request/source", "/etc/passwd", "unknown suffix"),
    "a source that never ends": edited("repeat", "request/source", "/dev/zero", "there is no file"),
    "a source called otherwise": edited("repeat", "request/source", {"a": "/dev/zero"}, "there is no file"),
    "an item table that it was not made from": edited("repeat", "request/items", "/etc/hostname", "unknown suffix"),
    "an unknown setting": edited("repeat", "request/magic", 1, "'magic'"),
    "a setting out of range": edited("repeat", "request/sample/draws_per_event", -1, "draws_per_event"),
    "a setting that is no number": edited("repeat", "request/sample/temperature", float("nan"), "temperature"),
    "no request": edited("repeat", "request", {}, "'source'"),
    "a request that is a list": edited("repeat", "request", [1], "is the manifest of scalr generate"),
    "a command of another kind": edited("repeat", "command", ["run"], "is the manifest of scalr"),
    "a command with escapes": edited("repeat", "command", "\x1b[31m", "is the manifest of scalr"),
    "a seed that is no number": edited("repeat", "seed", float("nan"), "'seed' in the manifest"),
    "a share that is infinite": edited("repeat", "item_coverage", float("inf"), "'item_coverage' in the manifest"),
    "surroundings that are a list": edited("repeat", "environment", [1], "'environment' in the manifest"),
    "libraries that are a list": edited("repeat", "environment", {"libraries": [1]}, "'environment' in the manifest"),
    "an output outside": edited("repeat", "outputs/0/file", "../../x", "'outputs' in the manifest"),
    "another version": edited("repeat", "version", "99.0", None),
    "an output with another digest": edited("repeat", "outputs/0/sha256", "\x1b[31m", None),
    "no settings, audited": edited("audit", "settings", ..., "'source'"),
    "settings that are null, audited": edited("audit", "settings", None, "'source'"),
    "an unknown setting, audited": edited("audit", "settings/magic", 1, "'magic'"),
    "another target, audited": edited("audit", "settings/target", "/dev/zero", "there is no file"),
    "marginals that are numbers, audited": edited("audit", "stages/align", {**MARGINAL, "marginals": [1]}, ODD),
    "marginals of odd names, audited": edited("audit", "stages/align", {**MARGINAL, "marginals": [{"by": []}]}, ODD),
    "marginals that are a map, audited": edited("audit", "stages/align", {**MARGINAL, "marginals": {"by": 1}}, ODD),
    "a digest that was changed, audited": edited("audit", "outputs/0/sha256", "0" * 64, "not as they were written"),
    "another seed, audited": edited("audit", "settings/seed", 7, "not-drawn"),
    "no settings, for leaks": edited("leaks", "settings", ..., "names no target log"),
    "no target, for leaks": edited("leaks", "settings", {}, "names no target log"),
    "columns that are a list, for leaks": edited("leaks", "settings/columns", [1], ODD),
    "columns of no role, for leaks": edited("leaks", "settings/target_columns", {"a": 1}, ODD),
    "columns that are a list, exported": edited("export", "settings/columns", [1], ODD),
    "an input without a digest, exported": edited("export", "inputs/1/digest", ..., "is not the one that"),
}

EVENTS = {
    "cut in half": harmed("audit", _cut, "cannot be read as Parquet"),
    "cut in half, exported": harmed("export", _cut, "cannot be read"),
    "nothing": harmed("audit", lambda file: file.write_bytes(b""), "is empty"),
    "a pipe": harmed("audit", _piped, "matches no file"),
    "a folder": harmed("audit", _foldered, "matches no file"),
    "one more part of noise": harmed(
        "audit", lambda file: file.with_name("part-99999.parquet").write_bytes(b"x"), "cannot be read as Parquet"
    ),
    "a part twice": harmed("audit", _doubled, "drawn-twice"),
    "no column of draws": harmed("audit", rows(lambda table: table.drop_columns(["draw"])), "no column 'draw'"),
    "a column twice": harmed("audit", rows(lambda table: table.append_column("draw", table["draw"])), "twice"),
    "times that are lists": harmed("audit", values("timestamp", [1]), "other-source-event"),
    "times that are bytes": harmed("audit", values("timestamp", b"\xff"), "other-source-event"),
    "times that are null": harmed("audit", values("timestamp", None, pa.int64()), "other-source-event"),
    "weights that are infinite": harmed("audit", values("weight", float("inf")), "other-source-event"),
    "confidence NaN": harmed("audit", values("confidence", float("nan")), "confidence-differs"),
    "confidence as text": harmed("audit", values("confidence", "\x1b[31m"), "a column of a wrong type"),
    "support beyond int64": harmed("audit", values("support", 2**64 - 1, pa.uint64()), "a column of a wrong type"),
    "source events below zero": harmed("audit", values("source_event", -5), "unknown-source-event"),
    "users that are null": harmed("audit", values("user_id", None, pa.int64()), "other-source-event"),
    "items that are text": harmed("audit", values("item_id", "x"), "unknown-item"),
    "domains that are lists": harmed("audit", values("source_domain", [1]), "a column of a wrong type"),
    "domains that are bytes": harmed("audit", values("source_domain", b"\xff"), "a column of a wrong type"),
    "marks that are null": harmed("audit", values("is_synthetic", None, pa.bool_()), "not-marked"),
    "generations that are lists": harmed("audit", values("generation_id", [1]), "a column of a wrong type"),
    "times that are lists, alone": harmed("files", values("timestamp", [1]), "other-source-event"),
    **{
        f"{name} {what}": harmed("audit", harm, says, "--layout", "compact", file=f"dictionaries/{name}.parquet")
        for name in ("users", "items", "source_items")
        for what, harm, says in (
            ("cut in half", _cut, "cannot be read as Parquet"),
            ("are a pipe", _piped, "there is no file"),
            ("are a folder", _foldered, "matches no file"),
            ("are too few", rows(lambda table: table.slice(0, 1)), "a column of a wrong type"),
            ("have no ids", rows(lambda table: table.drop_columns(["id"])), "no column 'id'"),
        )
    },
    "domains in a dictionary that are lists": harmed(
        "audit", values("domain", [1]), "a column of a wrong type", "--layout", "compact",
        file="dictionaries/source_items.parquet",
    ),
}  # fmt: skip
