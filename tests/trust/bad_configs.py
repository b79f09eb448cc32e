"""Configurations that are no settings, or that would take all memory or time to read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.trust.battery import Case, Desk

from scalr.runs.config_file import read_config


def _config(text: str | bytes, says: str | None = None, *more: str, check: Callable[[Any], bool] | None = None) -> Case:
    """Return a case of `scalr run`; `{logs}` stands for lines that name good logs."""

    def make(desk: Desk) -> list[str]:
        desk.generate()
        logs = "source: source.parquet\ntarget: target.parquet\n"
        whole = text.replace("{logs}", logs).encode() if isinstance(text, str) else text
        if says is None:
            assert check is not None
            assert check(read_config(Path(desk.file("scalr.yaml", whole)), list(more)))
            return ["doctor", "--quiet"]
        sets = [part for one in more for part in ("--set", one)]
        return ["run", desk.file("scalr.yaml", whole), "--out", str(desk.out), *sets]

    return Case(make, says)


def _laughs(levels: int, flow: str) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, flow.format(f"*a{levels - 1}")]) + "\n"


def _merges(levels: int) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


CONFIGS = {
    "a file that is not there": Case(
        lambda desk: ["run", str(desk.folder / "no.yaml"), "--out", str(desk.out)], "does not exist"
    ),
    "a folder": Case(lambda desk: ["run", str(desk.folder), "--out", str(desk.out)], "cannot be read"),
    "a pipe": Case(
        lambda desk: (os.mkfifo(desk.folder / "c.yaml"), ["run", str(desk.folder / "c.yaml"), "--out", str(desk.out)])[
            1
        ],
        "cannot be read",
    ),
    "a device that never ends": Case(lambda desk: ["run", "/dev/zero", "--out", str(desk.out)], "cannot be read"),
    "nothing": _config("", "holds NoneType"),
    "comments only": _config("# source: a\n", "holds NoneType"),
    "a list": _config("- source\n- target\n", "holds list"),
    "a word": _config("scalr\n", "holds str"),
    "two documents": _config("{logs}---\n{logs}", "cannot be read"),
    "not UTF-8": _config(b"source: \xff\xfe\n", "cannot be read"),
    "UTF-16": _config("source: a\ntarget: b\n".encode("utf-16"), "cannot be read"),
    "a byte order mark": _config("﻿{logs}", check=lambda read: read.target.endswith("target.parquet")),
    "zero bytes": _config("source: a\0b\n", "cannot be read"),
    "escapes": _config("{logs}'\\e[31m': 1\n\x1b[31mseed: 1\n", "cannot be read"),
    "tabs": _config("source:\n\ta: b\n", "cannot be read"),
    "no closing bracket": _config("{logs}study: {seeds: 1\n", "cannot be read"),
    "a bomb of lists": _config(_laughs(12, "source: {}"), "alias"),
    "a bomb in a setting": _config("{logs}" + _laughs(12, "seed: {}"), "alias"),
    "a bomb of maps": _config(_laughs(10, "source: {{a: {}}}"), "alias"),
    "a bomb of merges": _config("{logs}" + _merges(12), "alias"),
    "an anchor within itself": _config("source: &a {x: *a}\ntarget: b\n", "alias"),
    "an anchor that is not there": _config("{logs}seed: *nowhere\n", "alias"),
    "20,000 brackets": _config("{logs}seed: " + "[" * 20_000, "cannot be read"),
    "20,000 maps": _config("{logs}" + "".join(" " * n + "a:\n" for n in range(3000)), "cannot be read"),
    "10 MB": _config("{logs}" + "# x\n" * 2_500_000, "10,000,0"),
    "a value of 100 kB": _config("{logs}seed: " + "x" * 100_000, "seed"),
    "a name of 100 kB": _config("{logs}" + "x" * 100_000 + ": 1\n", "cannot be read"),
    "a Python object": _config("{logs}seed: !!python/object/apply:os.system ['echo owned']\n", "cannot be read"),
    "a Python name": _config("{logs}seed: !!python/name:os.system\n", "cannot be read"),
    "a Python module": _config("!!python/module:os\n", "cannot be read"),
    "an unknown tag": _config("{logs}seed: !secret 1\n", "cannot be read"),
    "a tag that does not fit": _config("{logs}seed: !!int many\n", "cannot be read"),
    "bytes": _config("{logs}seed: !!binary aGVsbG8=\n", "seed"),
    "broken bytes": _config("{logs}seed: !!binary '*'\n", "seed"),
    "a set": _config("{logs}study: !!set {seeds}\n", "study"),
    "a date that is not there": _config("{logs}split: {test_from: 2020-13-45}\n", "cannot be read"),
    "a date": _config(
        "{logs}split: {test_from: 2020-02-03}\n", check=lambda read: read.split.test_from == "2020-02-03"
    ),
    "a number of 5,000 digits": _config("{logs}seed: " + "9" * 5000 + "\n", "scalr.yaml"),
    "a number of 400 digits": _config("{logs}seed: " + "9" * 400 + "\n", "seed"),
    "a number in base 60": _config("{logs}seed: 1:30\n", check=lambda read: read.seed == 90),
    "a list as a name": _config("{logs}? [a, b]\n: 1\n", "cannot be read"),
    "a number as a name": _config("{logs}1: 2\n", "not settings"),
    "nothing as a name": _config("{logs}~: 2\n", "not settings"),
    "a name twice": _config("{logs}seed: 1\nseed: 2\n", "'seed' twice"),
    "a name twice, deeper": _config("{logs}study: {seeds: 1, seeds: 2}\n", "'seeds' twice"),
    "no source": _config("target: target.parquet\n", "'source'"),
    "a source that is a number": _config("source: 5\ntarget: b\n", "'source'"),
    "a source that is a list": _config("source: [a, b]\ntarget: b\n", "'source'"),
    "a source that is null": _config("source:\ntarget: b\n", "'source'"),
    "a source within a source": _config("source: {a: {b: c}}\ntarget: b\n", "'source"),
    "a target that is a map": _config("source: a\ntarget: {a: b}\n", "'target'"),
    "a log that is not there": _config("source: none.parquet\ntarget: target.parquet\n", "there is no file"),
    "a log with a zero byte in its name": _config('source: "a\\0b"\ntarget: target.parquet\n', "there is no file"),
    "a source called target": _config("source: {target: source.parquet}\ntarget: target.parquet\n", "'target'"),
    "a source called as a path": _config(
        "source: {../../x: source.parquet}\ntarget: target.parquet\nstudy: {seeds: 0}\n", "seeds"
    ),
    "an unknown name": _config("{logs}seeds: 1\n", "unknown setting 'seeds'"),
    "an unknown name in a section": _config("{logs}study: {sedes: 1}\n", "'study.sedes'"),
    "a section that is a number": _config("{logs}study: 5\n", "'study' of"),
    "a section that is a list": _config("{logs}study: [seeds]\n", "'study' of"),
    "a word where a number belongs": _config("{logs}seed: many\n", "'seed'"),
    "a yes where a number belongs": _config("{logs}seed: yes\n", "'seed'"),
    "a number with decimals": _config("{logs}seed: 1.5\n", "'seed'"),
    "not a number": _config("{logs}sample: {temperature: .nan}\n", "'sample.temperature'"),
    "an infinite number": _config("{logs}train: {learning_rate: .inf}\n", "'train.learning_rate'"),
    "an infinite count": _config("{logs}study: {seeds: .inf}\n", "'study.seeds'"),
    "a number below its bound": _config("{logs}study: {seeds: 0}\n", "'study.seeds'"),
    "a number above its bound": _config("{logs}seed: 9223372036854775808\n", "'seed'"),
    "shares that leave nothing": _config("{logs}split: {test_share: 0.9, validation_share: 0.2}\n", "'split'"),
    "an unknown arm": _config("{logs}study: {arms: [scalr, magic]}\n", "'study.arms'"),
    "an unknown translator": _config("{logs}translate: {translator: magic}\n", "magic"),
    "an unknown model": _config("{logs}train: {model: ../../evil}\n", "../../evil"),
    "an unknown layout": _config("{logs}layout: wide\n", "'layout'"),
    "a unit of no time": _config("{logs}time_unit: h\n", "'time_unit'"),
    "a column that is a list": _config("{logs}columns: {user: [a]}\n", "'columns.user'"),
    "a column that is not there": _config("{logs}columns: {user: nobody}\n", "'nobody'"),
    "a user column that is none": _config("{logs}columns: {user: ''}\n", "no user column"),
    "the same column twice": _config("{logs}columns: {user: item_id}\n", "used as user and item"),
    "a change without a value": _config("{logs}", "--set 'seed'", "seed"),
    "a change without a name": _config("{logs}", "--set '=1'", "=1"),
    "a change with an empty part": _config("{logs}", "--set 'a..b=1'", "a..b=1"),
    "a change below a number": _config("{logs}", "seed", "seed.x=1"),
    "a change to an unknown name": _config("{logs}", "unknown setting", "x.y.z=1"),
    "a change that is broken YAML": _config("{logs}", "cannot be read", "seed=[1"),
    "a change that is a Python object": _config("{logs}", "cannot be read", "seed=!!python/name:os.system"),
    "a change that is no date": _config("{logs}", "cannot be read", "split.test_from=2020-13-45"),
    "a change that is a bomb": _config("{logs}", "cannot be read", "seed=" + "[" * 20_000),
    "a change with an alias": _config("{logs}", "cannot be read", "seed=[&a 1, *a]"),
    "a change with escapes": _config("{logs}", "seed", "seed=\x07\x1b[31m"),
    "a change with many dots": _config("{logs}", "unknown setting", ".".join(["a"] * 3000) + "=1"),
}
