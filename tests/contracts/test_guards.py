"""Leaks that people plant by mistake, each caught by a check; docs/leaks.md lists them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.worlds import small_tables

from scalr.engines.generation import generate
from scalr.evaluation.folds import split
from scalr.foundation.config import SplitSettings, Steps
from scalr.foundation.errors import LeakError, SchemaError
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.synthesis.checks.detection import find_leaks
from scalr.synthesis.translators import fit, translator_names


def folds():
    return split(read_logs(LogRequest(*small_tables(seed=4))).load(), SplitSettings(hide_overlap=0.5), seed=1)


@pytest.mark.parametrize("translator", translator_names())
@pytest.mark.parametrize("log", ["source", "target"])
def test_future_events(translator, log):
    """One event of the test period among those that are fitted on."""
    pair, fold = read_logs(LogRequest(*small_tables(seed=4))).load(), folds().test
    fold.guard(fit(fold.pair, translator).fitted_until, "a translation")
    later = np.flatnonzero(getattr(pair, log).time >= fold.until)[:1]
    kept = getattr(pair, log).time < fold.until
    kept[later] = True
    planted = replace(fold.pair, **{log: getattr(pair, log).take(kept)})
    with pytest.raises(LeakError, match=r"a translation saw an event of .* inside the test period"):
        fold.guard(fit(planted, translator).fitted_until, "a translation")


def test_target_events_of_test_users():
    """The hidden users' target events from before the test period: early enough for every clock."""
    both = folds()
    fold = both.test
    planted = replace(fold.pair, target=fold.seen)
    assert len(both.hidden_users) > 0
    fold.guard(fit(planted).fitted_until, "a translation")
    with pytest.raises(LeakError, match="fitted on other target events"):
        fold.guard_log(planted.target.digest(), "a translation")
    fold.guard_log(fold.pair.target.digest(), "a translation")


@pytest.mark.parametrize("layout", ["target", "compact"])
def test_synthetic_rows_that_are_fed_back(layout):
    """As the target log, as the source log, beside real rows, and without the column that says so."""
    source, target = small_tables(seed=4)
    made = generate(source, target, steps=Steps.parse({"refine": {"align": None}})).table(layout)
    with pytest.raises(SchemaError, match="synthetic events"):
        read_logs(LogRequest(source, made))
    with pytest.raises(SchemaError, match="synthetic events"):
        read_logs(LogRequest(made, target))
    if layout == "target":
        with pytest.raises(SchemaError, match="synthetic events"):
            read_logs(LogRequest(source, made.drop_columns(["is_synthetic", "generation_id"])))
        real = target.append_column("is_synthetic", pa.array([False] * len(target)))
        with pytest.raises(SchemaError, match=f"{len(made)} synthetic events"):
            read_logs(LogRequest(source, pa.concat_tables([real, made.select(real.column_names).cast(real.schema)])))
        assert len(read_logs(LogRequest(source, real)).target) == len(target)


def test_an_item_in_both_domains():
    source, target = small_tables(seed=4)
    shared = target.set_column(1, "item", pa.array([j - 100 for j in target["item"].to_pylist()]))
    (warning,) = [said for said in read_logs(LogRequest(source, shared)).warnings if "in both domains (such as" in said]
    assert "test events may leak" in warning or "remove them from one domain" in warning
    assert not [said for said in read_logs(LogRequest(source, target)).warnings if "in both domains (such as" in said]


@pytest.mark.parametrize("kind", ["boolean", "text", "null where synthetic"])
def test_a_feature_that_equals_is_synthetic(kind):
    pytest.importorskip("sklearn", reason="the classifier needs the extra 'models'")
    source, target = small_tables(seed=4)
    made = generate(source, target, steps=Steps.parse({"refine": {"align": None}})).table()
    values = {"boolean": (False, True), "text": ("log", "model"), "null where synthetic": (1.5, None)}[kind]
    type_ = {"boolean": pa.bool_(), "text": pa.string()}.get(kind, pa.float64())
    real, synthetic = (
        table.append_column("origin", pa.array([value] * len(table), type_))
        for table, value in ((target, values[0]), (made, values[1]))
    )
    found = find_leaks(real, synthetic)
    assert found.columns[0].name == "origin"
    assert found.columns[0].separation.auc > 0.99
    assert "origin" in found.droppable
    assert "origin" not in find_leaks(real.drop_columns(["origin"]), made).droppable
