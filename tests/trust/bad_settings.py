"""Item tables, command lines, output folders and run folders that cannot be what they are given as."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.trust.battery import Case, Desk, with_options

# Item tables


def _items(table: pa.Table | bytes | str, says: str | None = None, *more: str, name: str = "items.parquet") -> Case:
    def make(desk: Desk) -> list[str]:
        given = desk.table(name, table) if isinstance(table, pa.Table) else desk.file(name, table)
        return desk.generate(None, None, "--items", given, *more)

    return Case(make, says)


def _special(desk: Desk, name: str, make: Callable[[str], object]) -> list[str]:
    """Return a line whose item table is no file and no folder."""
    path = str(desk.folder / name)
    make(path)
    return desk.generate(None, None, "--items", path)


def _titled(*titles: Any, **columns: Any) -> pa.Table:
    return pa.table({"item_id": [100 + x for x in range(len(titles))], "title": titles, **columns})


ITEMS = {
    "no rows": _items(_titled().cast(pa.schema([("item_id", pa.int64()), ("title", pa.string())])), "has no rows"),
    "no id column": _items(pa.table({"title": ["a"]}), "no column of item ids"),
    "ids of no log": _items(pa.table({"item_id": [7]}), "none of which is in the logs"),
    "ids of another type": _items(pa.table({"item_id": ["x"]}), "none of which is in the logs"),
    "ids with decimals": _items(pa.table({"item_id": [100.0]}), "has the type double"),
    "ids that are lists": _items(pa.table({"item_id": [[100]]}), "has the type list"),
    "a null id": _items(pa.table({"item_id": [100, None]}), "1 null (row 2)"),
    "a null id, dropped": _items(pa.table({"item_id": [100, None]}), None, "--drop-nulls"),
    "an id twice, the same": _items(pa.table({"item_id": [100, 100], "title": ["a", "a"]})),
    "an id twice, differing": _items(
        pa.table({"item_id": [100, 100], "title": ["a", "b"]}), "several rows that differ"
    ),
    "an id twice, differing lists": _items(
        pa.table({"item_id": [100, 100], "x": [[1], [2]]}), "several rows that differ"
    ),
    "a title of 10 MB": _items(_titled("x" * 10_000_000, "b")),
    "titles that are scripts": _items(_titled("<script>alert(1)</script>", "</title><img src=x onerror=alert(1)>")),
    "titles that are escapes": _items(_titled("\x1b]0;owned\x07", "\x1b[2J\x9b31m")),
    "titles that are templates": _items(_titled("{{ 7 * 7 }}", "{% include '/etc/passwd' %}")),
    "titles that are paths": _items(_titled("/etc/passwd", "file:///etc/passwd")),
    "titles that are not UTF-8": _items(
        pa.table({"item_id": [100, 101], "title": pa.array([b"\xff", b"\xfe\x80"]).view(pa.string())}), "not UTF-8"
    ),
    "titles that are lists": _items(_titled(["a"], ["b", None])),
    "titles that are structs": _items(_titled({"a": 1}, None)),
    "titles that are null": _items(_titled(None, None)),
    "prices NaN and infinite": _items(_titled("a", "b", price=[float("nan"), float("inf")])),
    "prices as text": _items(_titled("a", "b", price=["much", "more"])),
    "prices of 1e308": _items(_titled("a", "b", price=[1e308, -1e308])),
    "a category of many kinds": _items(_titled("a", "b", category=[[1], [2]]), "'category'", "--backoff", "1"),
    "a domain that is a list": _items(_titled("a", "b", domain=[["target"], ["target"]])),
    "a domain of bytes": _items(_titled("a", "b", domain=[b"\xff", b"\xfe"])),
    "a domain of no source": _items(_titled("a", "b", domain=["mars", "venus"])),
    "columns of the log's in another type": _items(_titled("a", "b", shop=[[1], [2]]), "'shop'"),
    "columns that synthetic events have": _items(_titled("a", "b", is_synthetic=[False, False], weight=[9.0, 9.0])),
    "a column twice": _items(
        pa.Table.from_arrays([pa.array([100]), pa.array(["a"]), pa.array(["b"])], ["item_id", "title", "title"]),
        "twice",
    ),
    "a file cut in half": _items(b"PAR1" + bytes(50), "cannot be read as Parquet"),
    "a CSV with rows too long": _items("item_id,title\n100,a,b,c\n", "items.csv", name="items.csv"),
    "a CSV of formulas": _items("item_id,title\n100,\"=cmd|' /C calc'!A0\"\n101,@SUM(1)\n", name="items.csv"),
    "a CSV with ids that overflow": _items(f"item_id,title\n100,a\n{10**40},b\n", "none of which", name="items.csv"),
    "JSON of other shapes": _items('{"item_id": 100, "title": {"a": [1]}}\n{"item_id": 101}\n', name="items.jsonl"),
    "a file that is not there": Case(
        lambda desk: desk.generate(None, None, "--items", str(desk.folder / "no.csv")), "no file"
    ),
    "a pipe": Case(lambda desk: _special(desk, "items.parquet", os.mkfifo), "there is no file"),
    "a pipe called CSV": Case(lambda desk: _special(desk, "items.csv", os.mkfifo), "there is no file"),
    "a socket": Case(
        lambda desk: _special(desk, "items.parquet", lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)),
        "there is no file",
    ),
    "the target log itself": Case(
        lambda desk: [*desk.generate(), "--items", str(desk.folder / "target.parquet")], "several rows that differ"
    ),
}

# Command lines


def _line(says: str, *arguments: str) -> Case:
    return Case(lambda desk: list(arguments), says)


def _on_spark(says: str, *more: str) -> Case:
    """Return a case that is refused before Java is looked for."""
    return with_options(says, "--engine", "spark", *more)


def _trials(says: str, lay: Callable[[Desk], str]) -> Case:
    return Case(
        lambda desk: ["study", *desk.generate()[1:], "--seeds", "1", "--quiet", "--trials-file", lay(desk)], says
    )


def _trial(**changes: Any) -> str:
    return json.dumps({"key": "a", "loss": 0.5, "ndcg": 0.1, "epochs": 3, "seconds": 0.1, **changes}) + "\n"


OPTIONS = {
    "an unknown command": _line("frobnicate", "frobnicate"),
    "an unknown option": with_options("--drawz", "--drawz", "1"),
    "a short option that is not there": with_options("-Z", "-Z"),
    "an option without its value": with_options("--draws", "--draws"),
    "an argument too many": with_options("extra", "extra"),
    "escapes in an option": with_options("No such option", "--\x1b[31mred\x07"),
    "markup in an option": with_options("[/red]", "--[/red]"),
    "an option of 1 MB": with_options("No such option", "--" + "x" * 1_000_000),
    "a value of 1 MB": with_options("--draws", "--draws", "9" * 1_000_000),
    "no source": _line("--source", "generate", "--target", "a", "--out", "b"),
    "no target": _line("--target", "generate", "--source", "a", "--out", "b"),
    "no output folder": _line("--out", "generate", "--source", "a", "--target", "b"),
    "no draws": with_options("draws_per_event", "--draws", "0"),
    "draws below zero": with_options("draws_per_event", "--draws", "-1"),
    "too many draws": with_options("draws_per_event", "--draws", str(10**11)),
    "half a draw": with_options("--draws", "--draws", "0.5"),
    "draws in words": with_options("--draws", "--draws", "many"),
    "draws in Arabic digits": with_options("--draws", "--draws", "٣"),
    "temperature not a number": with_options("temperature", "--temperature", "nan"),
    "temperature zero": with_options("temperature", "--temperature", "0"),
    "temperature infinite": with_options("temperature", "--temperature", "inf"),
    "temperature of 1e308": with_options("temperature", "--temperature", "1e308"),
    "a seed below zero": with_options("seed", "--seed", "-1"),
    "a seed beyond int64": with_options("seed", "--seed", str(2**63)),
    "the largest seed": with_options(None, "--seed", str(2**63 - 1)),
    "support of 10**20": with_options("min_support", "--min-support", str(10**20)),
    "support zero": with_options("min_support", "--min-support", "0"),
    "a history of nothing": with_options("history_cap", "--history-cap", "0"),
    "a window of no time": with_options("window_days", "--window-days", "0"),
    "a window not a number": with_options("window_days", "--window-days", "nan"),
    "a window of 1e300 days": with_options("window_days", "--window-days", "1e300"),
    "backing off below zero": with_options("backoff", "--backoff", "-1"),
    "backing off infinitely": with_options("backoff", "--backoff", "inf"),
    "an unknown translator": with_options("'magic'", "--translator", "magic"),
    "auto without a study": with_options("auto", "--translator", "auto"),
    "an unknown strategy": with_options("strategy", "--strategy", "best"),
    "an unknown marginal": with_options("align", "--align", "size"),
    "a marginal and none": with_options("align", "--align", "value,none"),
    "an unknown layout": with_options("wide", "--layout", "wide"),
    "an unknown policy": with_options("duplicates", "--duplicates", "some"),
    "an unknown unit": with_options("fortnight", "--time-unit", "fortnight"),
    "negatives without labels": with_options("label", "--negatives", "rate"),
    "negatives below zero": with_options("per_positive", "--negatives", "rate", "--negatives-per-positive", "-5"),
    "leaks in codes": with_options("compact", "--check-leaks", "--layout", "compact"),
    "no threads": with_options("threads", "--threads", "0"),
    "threads below zero": with_options("threads", "--threads", "-4"),
    "a million threads": with_options("threads", "--threads", "1000000"),
    "no memory": with_options("memory limit", "--memory-limit", "0"),
    "memory below zero": with_options("memory limit", "--memory-limit", "-8GB"),
    "memory not a number": with_options("memory limit", "--memory-limit", "nan"),
    "memory infinite": with_options("memory limit", "--memory-limit", "inf"),
    "memory in words": with_options("memory limit", "--memory-limit", "much"),
    "memory in an unknown unit": with_options("memory limit", "--memory-limit", "8XB"),
    "memory without a number": with_options("memory limit", "--memory-limit", "GB"),
    "memory of nothing": with_options("memory limit", "--memory-limit", ""),
    "memory of 1 MB": with_options("memory limit", "--memory-limit", "1MB"),
    "memory of 1e400 bytes": with_options("memory limit", "--memory-limit", "1e400"),
    "memory of 10**30 bytes": with_options(None, "--memory-limit", "1" + "0" * 30),
    "columns without a name": with_options("'user'", "--source-columns", "user"),
    "columns of no role": with_options("'usr'", "--target-columns", "usr=user"),
    "columns of nothing": with_options("cannot be read", "--source-columns", ""),
    "a column named twice": with_options("'user' twice", "--source-columns", "user=user_id,user=item_id"),
    "a column with a line break": with_options("a b", "--user", "a\nb"),
    "a column with escapes": with_options("no column", "--user", "\x1b[31m\x07"),
    "no user column": with_options("no user column", "--user", ""),
    "one column for two roles": with_options("used as user and item", "--user", "item_id"),
    "a source without a name": with_options("no name of its own", "--source", "x.parquet"),
    "a source called target": Case(
        lambda desk: desk.generate("target=" + desk.table("s.parquet", desk.source)), "named 'target'"
    ),
    "a source called by 10,000 letters": Case(
        lambda desk: desk.generate("x" * 10_000 + "=" + desk.table("s.parquet", desk.source))
    ),
    "a source called with escapes": Case(
        lambda desk: desk.generate("\x1b[31mx\x07=" + desk.table("s.parquet", desk.source))
    ),
    "a source called with markup": Case(
        lambda desk: desk.generate("[bold]x[red]=" + desk.table("s.parquet", desk.source))
    ),
    "privacy of nobody": with_options("privacy", "--privacy", "k=0"),
    "privacy in words": with_options("privacy", "--privacy", "k=many"),
    "privacy of another kind": with_options("privacy", "--privacy", "magic=1"),
    "privacy of no noise": with_options("privacy", "--privacy", "epsilon=nan"),
    "privacy of nothing": with_options("privacy", "--privacy", ""),
    "an unknown engine": with_options("magic", "--engine", "magic"),
    "a day without Spark": with_options("--day is given", "--day", "2020-01-01"),
    "a dry run without Spark": with_options("--dry-run is given", "--dry-run"),
    "a Spark setting without Spark": with_options("--spark-conf is given", "--spark-conf", "a=b"),
    "a Spark master without Spark": with_options("--spark-master is given", "--spark-master", "yarn"),
    "a Spark setting without a value": _on_spark("'spark.a' has no value", "--spark-conf", "spark.a"),
    "a Spark setting without a name": _on_spark("'=b' has no name", "--spark-conf", "=b"),
    "a Spark setting of escapes": _on_spark("has no value", "--spark-conf", "\x1b[31m\n"),
    "a Spark setting of nothing": _on_spark("has no name", "--spark-conf", ""),
    "a Spark master of nothing": _on_spark("--spark-master is ''", "--spark-master", ""),
    "a Spark master with blanks": _on_spark("--spark-master is", "--spark-master", "local[2] --conf x=y"),
    "a Spark master with a line break": _on_spark("--spark-master is", "--spark-master", "local\n[2]"),
    "a day that is no date": _on_spark("the day is 'tomorrow'", "--day", "tomorrow"),
    "the 30th of February": _on_spark("the day is '2020-02-30'", "--day", "2020-02-30"),
    "a day of nothing": _on_spark("the day is ''", "--day", ""),
    "a day with escapes": _on_spark("the day is", "--day", "\x1b[2J"),
    "Spark and integer codes": _on_spark("layout is 'compact'", "--layout", "compact"),
    "Spark and a check for leaks": _on_spark("the check for leaky columns", "--check-leaks"),
    "Spark and going on": _on_spark("--resume is given", "--resume"),
    "Spark and a manifest": Case(
        lambda desk: ["run", "--from-manifest", "x.json", "--engine", "spark", "--out", str(desk.out)],
        "--from-manifest is given",
    ),
    "running nothing": Case(lambda desk: ["run", "--out", str(desk.out)], "nothing to run"),
    "repeating a manifest that is not there": Case(
        lambda desk: ["run", "--from-manifest", str(desk.folder / "no.json"), "--out", str(desk.out)], "no manifest"
    ),
    "repeating a manifest without a request": Case(
        lambda desk: [
            "run",
            "--from-manifest",
            desk.file("manifest.json", json.dumps(MANIFEST)),
            "--out",
            str(desk.out),
        ],
        "manifest",
    ),
    "repeating a manifest that asks for nonsense": Case(
        lambda desk: [
            "run",
            "--from-manifest",
            desk.file("manifest.json", json.dumps({**MANIFEST, "request": {"a": [1]}})),
            "--out",
            str(desk.out),
        ],
        "setting",
    ),
    "going on with nothing": with_options(None, "--resume"),
    "a study with no seeds": Case(lambda desk: ["study", *desk.generate()[1:], "--seeds", "0"], "seeds"),
    "a study with all of it for the test": Case(
        lambda desk: ["study", *desk.generate()[1:], "--test-share", "1"], "test_share"
    ),
    "a study from no date": Case(
        lambda desk: ["study", *desk.generate()[1:], "--test-from", "2020-13-45", "--seeds", "1"], "2020-13-45"
    ),
    "a study of an unknown arm": Case(lambda desk: ["study", *desk.generate()[1:], "--arms", "magic"], "arms"),
    "a study of an unknown model": Case(lambda desk: ["study", *desk.generate()[1:], "--model", "magic"], "magic"),
    "a study of an unknown sweep": Case(lambda desk: ["study", *desk.generate()[1:], "--sweep", "magic"], "magic"),
    "a study that sweeps conversions": Case(
        lambda desk: ["study", *desk.generate()[1:], "--sweep", "all", "--conversions"], "together"
    ),
    "trials kept in a log": Case(
        lambda desk: [
            "study",
            *desk.generate()[1:],
            "--seeds",
            "1",
            "--trials-file",
            str(desk.folder / "source.parquet"),
        ],
        "source.parquet",
    ),
    "trials kept in a pipe": _trials(
        "not a regular file", lambda desk: (os.mkfifo(desk.folder / "t.jsonl"), str(desk.folder / "t.jsonl"))[1]
    ),
    "trials kept in a device": _trials("not a regular file", lambda desk: "/dev/zero"),
    "trials of no loss": _trials("line 1 of", lambda desk: desk.file("t.jsonl", _trial(loss=float("nan")))),
    "trials of an infinite rank": _trials("line 1 of", lambda desk: desk.file("t.jsonl", _trial(ndcg=float("inf")))),
    "trials of infinite length": _trials("line 1 of", lambda desk: desk.file("t.jsonl", _trial(epochs=float("inf")))),
    "trials 100,000 deep": _trials("line 1 of", lambda desk: desk.file("t.jsonl", "[" * 100_000 + "\n")),
    "trials kept in a folder": Case(
        lambda desk: ["study", *desk.generate()[1:], "--seeds", "1", "--trials-file", str(desk.folder)],
        "cannot be used",
    ),
}

# Output folders


def _out(lay: Callable[[Desk], str], says: str | None = None) -> Case:
    return Case(lambda desk: [*desk.generate()[:-1], lay(desk)], says)


def _link(desk: Desk, name: str, aim: str) -> str:
    (desk.folder / name).symlink_to(aim)
    return str(desk.folder / name)


def _full(desk: Desk) -> str:
    desk.file("full/mine.txt", "mine")
    return str(desk.folder / "full")


def _inside_a_log(desk: Desk, command: str = "generate") -> list[str]:
    desk.table("logs/part.parquet", desk.source)
    line = desk.generate(str(desk.folder / "logs"))
    return [command, *line[1:-1], str(desk.folder / "logs" / "run")]


OUTPUTS = {
    "a file": _out(lambda desk: str(desk.folder / "source.parquet"), "is a file"),
    "below a file": _out(lambda desk: str(desk.folder / "source.parquet" / "run"), "cannot be written"),
    "a folder that is not empty": _out(_full, "is not empty"),
    "the folder of the logs": _out(lambda desk: str(desk.folder), "is not empty"),
    "inside a log": Case(_inside_a_log, "inside"),
    "inside a log, for a study": Case(lambda desk: _inside_a_log(desk, "study"), "inside"),
    "a link to a folder that is not empty": _out(lambda desk: _link(desk, "to", _full(desk)), "is not empty"),
    "a link to nowhere": _out(lambda desk: _link(desk, "away", "nowhere"), "leads nowhere"),
    "a link to itself": _out(lambda desk: _link(desk, "self", "self"), "self"),
    "below a link to itself": _out(lambda desk: _link(desk, "self", "self") + "/run", "self"),
    "a name that is too long": _out(lambda desk: str(desk.folder / ("x" * 300)), "too long"),
    "a name of nothing": _out(lambda desk: "", "output folder"),
    "the root": _out(lambda desk: "/", "not empty"),
    "a device": _out(lambda desk: "/dev/null", "/dev/null"),
    "below a device": _out(lambda desk: "/dev/null/run", "cannot be"),
    "a pipe": _out(lambda desk: (os.mkfifo(desk.folder / "pipe"), str(desk.folder / "pipe"))[1], "pipe"),
}

# Folders of runs


def _run(manifest: Any, says: str, *command: str) -> Case:
    """Return a case of `scalr inspect` or `export` on a folder with this manifest."""

    def make(desk: Desk) -> list[str]:
        content = manifest if isinstance(manifest, bytes | str) else json.dumps(manifest)
        folder = Path(desk.file("run/manifest.json", content)).parent
        desk.file("secret.txt", "secret")
        return [
            command[0] if command else "inspect",
            str(folder),
            *command[1:],
            *(["--out", str(desk.out)] if command[:1] == ("export",) else []),
        ]

    return Case(make, says)


MANIFEST = {
    "schema": "scalr.manifest/1", "version": "1", "created_at": "x", "command": "generate", "seed": 0, "stages": {},
    "synthetic_events": 1, "item_coverage": 0.5, "outputs": [], "settings": {}, "inputs": [],
}  # fmt: skip


def _listing(file: Any) -> dict[str, Any]:
    return {**MANIFEST, "outputs": [{"file": file, "sha256": "0" * 64, "bytes": 1}]}


RUNS = {
    "no manifest": Case(lambda desk: ["inspect", str(desk.folder)], "no manifest"),
    "no folder": Case(lambda desk: ["inspect", str(desk.folder / "none")], "no manifest"),
    "a manifest that is a folder": Case(
        lambda desk: (desk.file("run/manifest.json/x", ""), ["inspect", str(desk.folder / "run")])[1], "no manifest"
    ),
    "a manifest that is a pipe": Case(
        lambda desk: (os.mkfifo(desk.folder / "manifest.json"), ["inspect", str(desk.folder)])[1], "no manifest"
    ),
    "nothing": _run("", "no manifest"),
    "not UTF-8": _run(b"\xff\xfe", "no manifest"),
    "broken JSON": _run("{", "no manifest"),
    "JSON 100,000 deep": _run("[" * 100_000, "no manifest"),
    "a number of 5,000 digits": _run("9" * 5000, "no manifest"),
    "a list": _run([], "schema"),
    "another schema": _run({"schema": "\x1b[31m"}, "schema"),
    "nothing but a schema": _run({"schema": "scalr.manifest/1"}, "has no 'command'"),
    "outputs that are a number": _run({**MANIFEST, "outputs": 5}, "manifest"),
    "outputs that are words": _run({**MANIFEST, "outputs": ["a"]}, "manifest"),
    "stages that are a list": _run({**MANIFEST, "stages": [1]}, "manifest"),
    "a share that is a word": _run({**MANIFEST, "item_coverage": "much"}, "manifest"),
    "a file that is gone": _run(_listing("gone.parquet"), "gone.parquet"),
    "a file outside": _run(_listing("../secret.txt"), "../secret.txt"),
    "a file of the system": _run(_listing("/etc/passwd"), "/etc/passwd"),
    "a file with escapes": _run(_listing("\x1b[31m\n.parquet"), "not as they were written"),
    "a file with a zero byte": _run(_listing("a\0b"), "manifest"),
    "a file that is a number": _run(_listing(5), "manifest"),
    "exporting without a target log": _run(MANIFEST, "names no target log", "export", "--to", "pandas"),
    "exporting to nowhere": _run(MANIFEST, "'magic'", "export", "--to", "magic"),
    "exporting with settings that are a list": _run(
        {**MANIFEST, "settings": [1]}, "manifest", "export", "--to", "pandas"
    ),
    "exporting with inputs that are words": _run({**MANIFEST, "inputs": ["a"]}, "manifest", "export", "--to", "pandas"),
    "exporting from a log that is a device": _run(
        {**MANIFEST, "settings": {"target": "/dev/zero"}, "inputs": [{"role": "target", "files": ["/dev/zero"]}]},
        "/dev/zero", "export", "--to", "pandas",
    ),
    "exporting below zero": _run(
        MANIFEST, "synthetic_weight", "export", "--to", "pandas", "--synthetic-weight", "-1"
    ),
}  # fmt: skip
