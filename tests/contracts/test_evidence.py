"""The tables of docs/evidence.md agree with the studies that they are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import evidence, replications


def test_tables_of_evidence_agree_with_the_studies(tmp_path: Path) -> None:
    change = {"arm": "scalr", "baseline": "real_only", "segment": "all", "metric": "normalized_entropy"}
    numbers = {"normalized_entropy": {"mean": 0.9}, "ndcg@20": {"mean": 0.01}}
    search = {"chosen": {"train.l2": 0.1}, "rounds": {"law": [{"changes": {}}, {"changes": {"train.l2": 0.1}}]}}
    study = {
        "protocol": {"settings": {"train": {"model": "mf", "synthetic_weight": 0.3}}},
        "arms": {"real_only": numbers, "scalr": numbers},
        "comparisons": [{**change, "relative_change": -0.0111, "interval": [-0.013, -0.0092]}],
        "choice": {
            "gate": [{"segment": "warm", "open": False}, {"segment": "cold", "open": True}],
            "searches": {"real_only": search, "scalr": search},
        },
    }
    other = {**study, "protocol": {"settings": {"train": {"model": "trees", "synthetic_weight": 0.1}}}}
    for name, content in (("pair", study), ("pair_trees", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(json.dumps(content))
    of_reference, others = evidence.read_studies([tmp_path / "pair", tmp_path / "pair_trees"])
    assert (list(of_reference), list(others)) == (["pair"], ["pair_trees"])
    assert (
        "| pair | −1.11 % [−1.30, −0.92] | – | – | 0.0100 → 0.0100; – | – | warm closed, cold open |"
        in evidence.worth(of_reference)
    )
    assert "`scalr`, of 2 settings: train.l2 0.1" in evidence.chosen(of_reference)
    assert evidence.models(others, of_reference).count("−1.11 % [−1.30, −0.92]") == 2


def test_replications_count_every_seed_of_every_study() -> None:
    def study(model: str, ratios: list[float]) -> dict[str, Any]:
        arms = {
            "real_only": {"normalized_entropy": {"per_seed": [0.9] * len(ratios)}},
            "scalr": {"normalized_entropy": {"per_seed": [0.9 * ratio for ratio in ratios]}},
        }
        settings = {"train": {"model": model}}
        segments = dict.fromkeys(("all", "warm", "cold"), arms)
        return {"protocol": {"settings": settings}, "segments": segments, "comparisons": []}

    pooled = replications.together([study("mf", [0.99, 0.97]), study("trees", [1.0, 1.0]), study("mf", [0.98, 1.02])])
    rows = pooled.splitlines()[2:]
    # Changes of −1, −3, −2 and +2 %: mean −1 %, standard deviation 2.16 %, t(3) = 3.182.
    assert rows[0].count("−1.00 % [−4.44, +2.44] (3)") == 3
    assert rows[1].count("+0.00 % [+0.00, +0.00] (0)") == 3


def test_the_table_of_claims_has_a_row_per_sweep_and_a_finding_per_pair(tmp_path: Path, capsys: Any) -> None:
    for pair, sweeps in (("one", ("volume", "weight")), ("two", ("volume",))):
        (tmp_path / pair).mkdir()
        findings = {name: {"claim": f"About {name}.", "finding": f"Undecided: {pair}."} for name in sweeps}
        (tmp_path / pair / "sweeps.json").write_text(json.dumps({"sweeps": findings}))
    evidence.main([str(tmp_path / "one"), str(tmp_path / "two")])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| About volume. (`--sweep volume`) | one: Undecided: one.<br>two: Undecided: two. |",
        "| About weight. (`--sweep weight`) | one: Undecided: one. |",
    ]
