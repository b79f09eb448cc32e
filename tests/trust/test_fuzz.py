"""Random damage: a result or a ScalrError, never anything else. `make trust` tries ten times as many."""

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.trust.battery import SECONDS, at_most, source_log, target_log
from tests.trust.figures import FIGURE

from scalr.foundation.errors import ScalrError
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair
from scalr.runs.config_file import read_config

pytestmark = pytest.mark.trust

SOURCE, TARGET = source_log(), target_log()
ITEMS = pa.table({"item_id": [100, 101, 102, 103, 104, 105], "title": list("abcdef"), "category": list("aabbcc")})
SHORT, LONG = 60, 600  # examples of each kind
TIMES = pytest.mark.parametrize("examples", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])


def _bytes_of(write: Callable[..., Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    write(SOURCE, sink, **options)
    return sink.getvalue()


WHOLE = {
    "parquet": _bytes_of(pq.write_table),
    "csv": _bytes_of(pyarrow.csv.write_csv),
    "jsonl": b'{"user_id": 1, "item_id": 10, "timestamp": 1600000000}\n' * 9,
}


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """Return the bytes with a few of them changed, cut out or put in."""
    made = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        how = draw(st.sampled_from(["set", "cut", "insert", "truncate", "repeat"]))
        if how == "set":
            made[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif how == "cut":
            del made[at : at + draw(st.integers(1, 40))]
        elif how == "insert":
            made[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif how == "truncate":
            del made[at:]
        else:
            made[at:at] = made[at : at + 30] * draw(st.integers(1, 20))
    return bytes(made)


ODD_TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["", "\0", "\x1b[31m", "=1", "007", "é"])
VALUES: dict[str, Any] = {
    "int64": (st.sampled_from([1, 2, 3, 10, 11, 100, 101, 102]) | st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "uint64": (st.integers(0, 2**64 - 1), pa.uint64()),
    "int8": (st.integers(-128, 127), pa.int8()),
    "text": (ODD_TEXT, pa.string()),
    "large text": (ODD_TEXT, pa.large_string()),
    "double": (st.floats(), pa.float64()),
    "half": (st.floats(width=16), pa.float16()),
    "bool": (st.booleans(), pa.bool_()),
    "bytes": (st.binary(max_size=4), pa.binary()),
    "date": (st.dates(), pa.date32()),
    "timestamp": (st.integers(-(2**63), 2**63 - 1), pa.timestamp("us")),
    "seconds": (st.integers(-(2**63), 2**63 - 1), pa.timestamp("s")),
    "nanoseconds": (st.integers(-(2**63), 2**63 - 1), pa.timestamp("ns", "UTC")),
    "decimal": (st.decimals(-(10**9), 10**9, places=3), pa.decimal128(30, 3)),
    "list": (st.lists(st.integers(0, 3), max_size=2), pa.list_(pa.int64())),
    "null": (st.none(), pa.null()),
    "dictionary": (st.sampled_from(["a", "b"]), pa.dictionary(pa.int8(), pa.string())),
}
NAMES = st.sampled_from(
    ["user_id", "item_id", "timestamp", "price", "label", "weight", "is_synthetic", "support", "User", "", "x\ny"]
)


@st.composite
def tables(draw: Any, base: pa.Table) -> pa.Table:
    """Return rows of `base`, some of whose columns are lost, or replaced or joined by any others."""
    rows = draw(st.integers(0, 6))
    kept = [name for name in base.column_names if draw(st.integers(0, 9))]
    columns: dict[str, Any] = {name: base[name].slice(0, rows) for name in kept}
    for name in draw(st.lists(NAMES, max_size=2)):
        values, kind = VALUES[draw(st.sampled_from(sorted(VALUES)))]
        own = draw(st.lists(values | st.none() if draw(st.booleans()) else values, min_size=rows, max_size=rows))
        columns[name] = pa.array(own, kind)
    return pa.table(columns)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXT, inner, max_size=3))
SECTIONS = ["source", "target", "seed", "split", "translate", "sample", "refine", "study", "train", "columns", "ids"]


def _read(source: Any, target: Any = TARGET, **options: Any) -> Pair:
    return read_pair(source, target, **options)


def _tried(attempt: Callable[[], object]) -> str:
    with at_most(SECONDS):
        try:
            attempt()
        except ScalrError as error:
            said = str(error)
        else:
            return "correct"
    assert len(said.split("\n")) == 3, said
    assert said.replace("\n", "").isprintable(), said
    return "refused"


def _fuzz(
    kind: str, strategy: st.SearchStrategy[Any], attempt: Callable[[Any], object], examples: int, record: Any
) -> None:
    """Try examples of a strategy, and report how many were read and how many refused."""
    found: dict[str, int] = {"correct": 0, "refused": 0}
    slowest = [0.0]

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(strategy)
    def run(one: Any) -> None:
        began = time.perf_counter()
        found[_tried(lambda: attempt(one))] += 1
        slowest[0] = max(slowest[0], time.perf_counter() - began)

    try:
        run()
    except BaseException:
        record(FIGURE, (kind, "fault", slowest[0], 1))
        raise
    finally:
        for what, tried in found.items():
            record(FIGURE, (kind, what, round(slowest[0], 3), tried))


@TIMES
@pytest.mark.parametrize("suffix", sorted(WHOLE))
def test_damaged_files(suffix, examples, record_property):
    def attempt(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"source.{suffix}"
            file.write_bytes(content)
            return _read(str(file))

    _fuzz(f"fuzz: damaged {suffix}", damaged(WHOLE[suffix]), attempt, examples, record_property)


@TIMES
def test_tables_of_any_columns(examples, record_property):
    def attempt(table: pa.Table) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "source.parquet"
            try:
                pq.write_table(table, file)
            except pa.ArrowInvalid:  # seconds that the milliseconds of Parquet cannot hold
                return _read(table)
            _tried(lambda: _read(str(file), drop_nulls=True))
        return _read(table)

    _fuzz("fuzz: random tables", tables(SOURCE), attempt, examples, record_property)


@TIMES
def test_item_tables_of_any_columns(examples, record_property):
    def attempt(table: pa.Table) -> object:
        return _read(SOURCE, items=table)

    _fuzz("fuzz: item tables", tables(ITEMS), attempt, examples, record_property)


@TIMES
def test_configurations_of_any_shape(examples, record_property):
    import yaml

    def attempt(values: Any) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scalr.yaml"
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            return read_config(file, [])

    logs = st.fixed_dictionaries({"source": st.just("a.csv"), "target": st.just("b.csv")})
    shaped = st.dictionaries(st.sampled_from(SECTIONS), TREES, max_size=4)
    whole = st.builds(lambda first, more: {**first, **more}, logs, shaped) | TREES
    _fuzz("fuzz: configurations", whole, attempt, examples, record_property)


@TIMES
def test_damaged_configurations(examples, record_property):
    text = b"source: a.csv\ntarget: b.csv\nseed: 1\nsplit:\n  test_share: 0.2\nstudy: {seeds: 2, arms: [scalr]}\n"

    def attempt(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scalr.yaml"
            file.write_bytes(content)
            return read_config(file, [])

    _fuzz("fuzz: damaged configurations", damaged(text), attempt, examples, record_property)
