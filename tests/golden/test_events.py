"""Golden digests: the same logs, settings and seed give these events, whoever changes what.

A digest that changes means that every user's events change: say so in the change log, and print the new ones with
`python -m tests.golden.test_events`.
"""

import hashlib
import json

import pyarrow as pa
import pytest

from scalr.engines.generation import generate
from scalr.foundation.config import Steps
from scalr.logs.simulation import simulate
from scalr.synthesis.translators import translator_names

LAYOUTS = ("target", "compact")
GOLDEN = {
    ("cooccurrence", "target"): "1e334ccfa6a35437",
    ("cooccurrence", "compact"): "ddda495ffb78a3b2",
    ("conditioned", "target"): "81189989f1f2a8f6",
    ("conditioned", "compact"): "f7d519d344d14867",
    ("factor", "target"): "84749b80b08dce53",
    ("factor", "compact"): "e743398eb95f7a82",
    ("popularity", "target"): "f5959daac3ea02d8",
    ("popularity", "compact"): "784fe716b15d3966",
    ("random", "target"): "0b098e7db9fa4387",
    ("random", "compact"): "a80ec8f1eb2f57ef",
}


def digest(table: pa.Table) -> str:
    """Return a SHA-256 over names, types and values, whatever writes the files."""
    text = json.dumps([[one.name, str(one.type)] for one in table.schema]) + repr(table.to_pydict())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def events(translator: str, layout: str) -> pa.Table:
    world = simulate(n_users=120, n_source_items=40, n_target_items=30, seed=3)
    steps = Steps.parse({"seed": 5, "translate": {"translator": translator, "rank": 8}})
    return generate(world.source, world.target, steps=steps).table(layout)


@pytest.mark.parametrize(("translator", "layout"), GOLDEN)
def test_events_are_those_of_earlier_versions(translator, layout):
    table = events(translator, layout)
    assert len(table)
    assert digest(table) == GOLDEN[translator, layout]


def test_every_translator_and_layout_has_one():
    assert set(GOLDEN) == {(translator, layout) for translator in translator_names() for layout in LAYOUTS}


if __name__ == "__main__":
    for name in translator_names():
        for kind in LAYOUTS:
            print(f'    ("{name}", "{kind}"): "{digest(events(name, kind))}",')
