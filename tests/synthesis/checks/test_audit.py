"""An audit passes what scalr makes, and names every kind of planted fault."""

import numpy as np
import pyarrow as pa
import pytest
from tests.logs.test_stored import rich_tables
from tests.worlds import small_tables

from scalr.engines.generation import generate_from
from scalr.engines.local.writing import write_events
from scalr.foundation.config import Steps
from scalr.foundation.errors import InputError, SchemaError
from scalr.foundation.receipts import Receipt
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.synthesis.checks.audit import CHECKS, audit
from scalr.synthesis.checks.reading_back import read_released
from scalr.synthesis.translators import translator_names

ALIGN = {"by": ["value", "popularity", "time"], "buckets": 4, "keep_share": 0.5}


def logs():
    source, target = small_tables(seed=2, events=(500, 500))
    return read_logs(
        LogRequest(source, target.append_column("value", pa.array(np.random.default_rng(0).random(500).round(2))))
    )


def made(stored, steps: Steps, layout: str = "target"):
    """Return rows as they are written, and what was stated of their marginals."""
    done = generate_from(stored, steps, Receipt("read", 0, 0))
    stated = [receipt.details["marginals"] for receipt in done.receipts if receipt.stage == "align"]
    return done.table(layout), stated[0] if stated else None


def audited(table, stored, steps: Steps, **options):
    return audit(read_released(table, stored), stored, steps, **{"is_seed_known": True, **options})


def names(found) -> set[str]:
    return {check.name for check in found.findings}


@pytest.mark.parametrize("variant", ["plain", "refined", "back-off", "k"])
@pytest.mark.parametrize("translator", translator_names())
def test_what_scalr_makes_passes(translator, variant):
    more = {
        "plain": {"refine": {"align": ALIGN}},
        "refined": {
            "refine": {"duplicates": "merge", "max_per_user": 4, "align": None},
            "sample": {"temperature": 0.7},
        },
        "back-off": {"translate": {"backoff": 5, "window_days": 20, "history_cap": 4}, "refine": {"align": None}},
        "k": {"translate": {"privacy": {"k": 3}}, "sample": {"strategy": "topk"}, "refine": {"align": ALIGN}},
    }[variant]
    steps = Steps.parse(
        {"seed": 5, **more, "translate": {"translator": translator, "rank": 8, **more.get("translate", {})}}
    )
    stored = logs()
    table, stated = made(stored, steps)
    found = audited(table, stored, steps, stated=stated)
    assert len(table) > 0
    assert names(found) == set()
    checked = {check.name for check in found.checks if check.examined}
    assert {"not-marked", "unknown-source-event", "other-source-event", "real-pair", "below-k", "not-drawn"} <= checked
    assert ("marginal-far" in checked) == (stated is not None)
    if translator == "cooccurrence":
        assert "confidence-differs" in checked


@pytest.mark.parametrize("layout", ["target", "compact"])
def test_rich_logs_and_both_layouts_pass(layout, tmp_path):
    stored, steps = read_logs(LogRequest(*rich_tables())), Steps.parse({"refine": {"align": None}})
    write_events(stored, steps, tmp_path, layout=layout)
    dictionaries = tmp_path / "dictionaries" if layout == "compact" else None
    rows = read_released(str(tmp_path / "synthetic"), stored, dictionaries)
    found = audit(rows, stored, steps, is_seed_known=True)
    assert len(rows) > 0
    assert names(found) == set()


def put(table: pa.Table, name: str, rows, values) -> pa.Table:
    """Return a table with other values in some rows of a column."""
    column = table[name].to_pylist()
    for row, value in zip(rows, values, strict=True):
        column[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(column, table.schema.field(name).type))


def real_pair(table, stored):
    """Give a row an item that its user has."""
    target = stored.target
    owned = {}
    for user, item in zip(target.user, target.item, strict=True):
        owned.setdefault(target.users.ids[int(user)].as_py(), target.items.ids[int(item)].as_py())
    row = next(n for n, user in enumerate(table["user"].to_pylist()) if user in owned)
    return put(table, "item", [row], [owned[table["user"][row].as_py()]])


def other_item(table, stored):
    """Give row 0 another item of the catalogue that its user does not have."""
    target, user = stored.target, table["user"][0].as_py()
    mine = {target.items.ids[int(i)].as_py() for u, i in zip(target.user, target.item, strict=True)
            if target.users.ids[int(u)].as_py() == user}  # fmt: skip
    free = [i for i in target.items.ids.to_pylist() if i not in mine and i != table["item"][0].as_py()]
    return put(table, "item", [0], [free[0]])


FAULTS = {
    "not-marked": lambda t, s: put(t, "is_synthetic", [3], [False]),
    "unknown-source-event": lambda t, s: put(t, "source_event", [3], [12345]),
    "other-source-event (user)": lambda t, s: put(t, "user", [3], [(t["user"][3].as_py() + 1) % 60]),
    "other-source-event (item)": lambda t, s: put(t, "source_item", [3], [(t["source_item"][3].as_py() + 1) % 8]),
    "other-source-event (domain)": lambda t, s: put(t, "source_domain", [3], ["elsewhere"]),
    "other-source-event (time)": lambda t, s: put(t, "time", [3], [t["time"][3].as_py() + 1]),
    "other-source-event (weight)": lambda t, s: put(t, "weight", [3], [2.0]),
    "unknown-item": lambda t, s: put(t, "item", [3], [999]),
    "real-pair": real_pair,
    "drawn-twice": lambda t, s: pa.concat_tables([t, t.slice(3, 1)]),
    "support-differs": lambda t, s: put(t, "support", [3], [t["support"][3].as_py() + 1]),
    "confidence-differs": lambda t, s: put(t, "confidence", [3], [t["confidence"][3].as_py() * 1.001]),
    "not-drawn": other_item,
    "not-drawn (draw)": lambda t, s: put(t, "draw", [3], [77]),
    "other-generation": lambda t, s: put(t, "generation_id", [3], ["0" * 16]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_planted_fault_is_named(fault):
    stored, steps = logs(), Steps.parse({"refine": {"align": None}})
    table, _ = made(stored, steps)
    assert names(audited(table, stored, steps)) == set()
    found = audited(FAULTS[fault](table, stored), stored, steps)
    name = fault.partition(" ")[0]
    assert name in names(found)
    with pytest.raises(InputError, match=name):
        found.refuse_findings("these rows")


def test_rows_that_rest_on_too_few_are_named():
    stored, steps = logs(), Steps.parse({"refine": {"align": None}})
    table, _ = made(stored, steps)
    k = int(np.median(table["support"].to_numpy()))
    asked = Steps.parse({"refine": {"align": None}, "translate": {"privacy": {"k": k}}})
    found = audited(table, stored, asked, is_seed_known=False)
    (check,) = found.findings
    assert check.name == "below-k"
    assert check.wrong == sum(support < k for support in table["support"].to_pylist()) > 0
    lied = table.set_column(table.column_names.index("support"), "support", pa.array([99] * len(table), pa.int32()))
    assert {"below-k", "support-differs"} <= names(audited(lied, stored, asked, is_seed_known=False))


def test_marginals_further_away_than_stated_are_named():
    stored, steps = logs(), Steps.parse({"refine": {"align": ALIGN}})
    table, stated = made(stored, steps)
    dear = table.filter(pa.array(np.array(table["value"]) > np.median(np.array(table["value"]))))
    assert names(audited(dear, stored, steps, stated=stated)) == {"marginal-far"}
    near = max(one["total_variation_after"] for one in stated)
    assert names(audited(table, stored, steps, most_distance=near)) == set()
    assert names(audited(table, stored, steps, most_distance=near / 2)) == {"marginal-far"}


def test_other_logs_are_noticed():
    stored, steps = logs(), Steps.parse({"refine": {"align": None}})
    table, _ = made(stored, steps)
    source, target = small_tables(seed=3, events=(500, 500))
    other = read_logs(LogRequest(source, target))
    assert {"unknown-source-event", "other-generation"} <= names(audited(table, other, steps))


def test_rows_without_a_column_of_ours_are_refused():
    stored = logs()
    table, _ = made(stored, Steps.parse({"refine": {"align": None}}))
    with pytest.raises(SchemaError, match="no column 'source_event'"):
        read_released(table.drop_columns(["source_event"]), stored)


def test_every_check_has_a_planted_fault():
    planted = {fault.partition(" ")[0] for fault in FAULTS} | {"below-k", "marginal-far"}
    assert planted == set(CHECKS)
