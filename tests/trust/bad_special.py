"""Pipes, sockets and links where files or folders belong: a pipe that nobody writes to is waited on for ever."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from tests.trust.bad_runs import finished
from tests.trust.battery import Case, Desk

from scalr.logs.simulation import simulate

Lay = Callable[[Desk, str], str]
"""Lays something of a name into the desk and returns its path."""


def _pipe(desk: Desk, name: str) -> str:
    os.mkfifo(desk.folder / name)
    return str(desk.folder / name)


def _socket(desk: Desk, name: str) -> str:
    os.mknod(desk.folder / name, stat.S_IFSOCK | 0o600)
    return str(desk.folder / name)


def _link(desk: Desk, name: str) -> str:
    (desk.folder / name).symlink_to(_pipe(desk, f"pipe-{name}"))
    return str(desk.folder / name)


def _descriptor(desk: Desk, name: str) -> str:
    """Return the name that a shell gives to the output of a command that has none: `<(...)`."""
    return f"/dev/fd/{os.open(_pipe(desk, f'pipe-{name}'), os.O_RDONLY | os.O_NONBLOCK)}"


def _given(lay: Lay, name: str, line: Callable[[Desk, str], list[str]], says: str) -> Case:
    return Case(lambda desk: line(desk, lay(desk, name)), says)


def _run(desk: Desk, given: str) -> list[str]:
    return ["run", given, "--out", str(desk.out)]


def _configured(desk: Desk, given: str) -> list[str]:
    desk.generate()
    text = f"source: source.parquet\ntarget: target.parquet\nitems: {given}\n"
    return _run(desk, desk.file("scalr.yaml", text))


def _inspected(desk: Desk, given: str) -> list[str]:
    desk.generate()
    logs = ("--source", f"{desk.folder}/source.parquet", "--target", f"{desk.folder}/target.parquet")
    return ["inspect", given, "--audit", "--quiet", *logs]


NO_FILE = "there is no file"
READ: dict[str, tuple[str, Callable[[Desk, str], list[str]], str]] = {
    "a source log": ("source.parquet", lambda desk, given: desk.generate(given), NO_FILE),
    "a source log of text": ("source.jsonl", lambda desk, given: desk.generate(given), NO_FILE),
    "a target log": ("target.csv", lambda desk, given: desk.generate(None, given), NO_FILE),
    "an item table": ("items.csv", lambda desk, given: desk.generate(None, None, "--items", given), NO_FILE),
    "an item table of a configuration": ("items.parquet", _configured, NO_FILE),
    "a configuration": ("scalr.yaml", _run, "cannot be read"),
    "a manifest to repeat": (
        "manifest.json",
        lambda desk, given: ["run", "--from-manifest", given, "--out", str(desk.out)],
        "no manifest",
    ),
    "a run to inspect": ("run", lambda desk, given: ["inspect", given], "no manifest"),
    "events to audit": ("events.parquet", _inspected, NO_FILE),
    "a file of trials": (
        "trials.jsonl",
        lambda desk, given: ["study", *desk.generate()[1:], "--seeds", "1", "--trials-file", given],
        "not a regular file",
    ),
    "a run to export": (
        "run",
        lambda desk, given: ["export", given, "--to", "pandas", "--out", str(desk.out)],
        "no manifest",
    ),
    "an output": ("made", lambda desk, given: [*desk.generate()[:-1], given], "is a file"),
    "an output's parent": ("made", lambda desk, given: [*desk.generate()[:-1], f"{given}/run"], "cannot be written"),
}
KINDS = {"a pipe": _pipe, "a socket": _socket, "a link to a pipe": _link}

# Outputs that are links: to a folder that is empty, that has something in it, to nothing, to a file.


def _export(desk: Desk) -> list[str]:
    return ["export", str(finished(desk)), "--to", "pandas", "--out"]


def _short_study(desk: Desk) -> list[str]:
    world = simulate(n_users=100, n_source_items=40, n_target_items=30, seed=1)  # of the desk's logs nothing is judged
    desk.source, desk.target = world.source, world.target
    more = ("--arms", "scalr", "--seeds", "1", "--baseline-trials", "0", "--translator", "cooccurrence", "--quiet")
    return ["study", *desk.generate()[1:-2], *more, "--out"]


def _repetition(desk: Desk) -> list[str]:
    return ["run", "--from-manifest", str(finished(desk) / "manifest.json"), "--out"]


WRITE = {
    "generation": lambda desk: desk.generate()[:-1],
    "study": _short_study,
    "export": _export,
    "repetition": _repetition,
}


def _full(desk: Desk) -> Path:
    return Path(desk.file("full/mine.txt", "mine")).parent


AIMS: dict[str, tuple[Callable[[Desk], Path], str]] = {
    "a full folder": (_full, "is not empty"),
    "nothing": (lambda desk: desk.folder / "nowhere" / "run", "leads nowhere"),
    "a file": (lambda desk: Path(desk.file("file.txt", "mine")), "is a file"),
    "a pipe": (lambda desk: Path(_pipe(desk, "pipe")), "is a file"),
}


def _to(line: Callable[[Desk], list[str]], aim: Callable[[Desk], Path], says: str) -> Case:
    def make(desk: Desk) -> list[str]:
        arguments = line(desk)
        (desk.folder / "link").symlink_to(aim(desk))
        return [*arguments, str(desk.folder / "link")]

    return Case(make, says)


def _through(line: Callable[[Desk], list[str]]) -> Case:
    """Return a case whose output is a link to an empty folder: it is filled, the link stays."""

    def make(desk: Desk) -> list[str]:
        arguments = line(desk)
        aim = desk.folder / "out" / "aim"
        aim.mkdir(parents=True)
        (desk.folder / "link").symlink_to(aim)
        return [*arguments, str(desk.folder / "link")]

    def check(desk: Desk) -> None:
        made = desk.folder / "out" / "aim"
        assert any(made.rglob("*.parquet")) or (made / "study.json").is_file()
        assert all(pq.read_metadata(file).num_columns for file in made.rglob("*.parquet"))
        assert [path.name for path in made.parent.iterdir()] == ["aim"]
        assert (desk.folder / "link").is_symlink()

    return Case(make, None, check)


SPECIAL = {
    **{
        f"{kind} as {what}": _given(lay, name, line, says)
        for what, (name, line, says) in READ.items()
        for kind, lay in KINDS.items()
    },
    **{
        f"the output of a command as {what}": _given(_descriptor, *READ[what])
        for what in ("a configuration", "a manifest to repeat", "a file of trials")
    },
    **{
        f"{what} into a link to {aim}": _to(line, *where) for what, line in WRITE.items() for aim, where in AIMS.items()
    },
    **{
        f"{what} into a link to an empty folder": _through(line)
        for what, line in WRITE.items()
        if what != "generation"  # see test_outputs.py
    },
}
