"""The tables of docs/evidence.md, made from folders of studies.

    python -m benchmarks.evidence STUDY...

Each STUDY is the output folder of `scalr study`, named after its pair of logs. Studies of another model than the
reference fill the table of models, and folders of `scalr study --sweep` fill the table of the paper's claims. The
tables are Markdown, so that no figure is copied by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

NE, NDCG = "normalized_entropy", "ndcg@20"
REFERENCE = "mf"
TRANSLATORS = ("cooccurrence", "conditioned", "factor", "popularity", "random")

Study = Mapping[str, Any]
Studies = Mapping[str, Study]


def read_studies(folders: Iterable[Path]) -> tuple[dict[str, Study], dict[str, Study]]:
    """Return the studies of the reference model and those of other models, by the names of their folders."""
    by_name = {folder.name: json.loads((folder / "study.json").read_text()) for folder in folders}
    of_reference = {name: study for name, study in by_name.items() if model_of(study) == REFERENCE}
    return of_reference, {name: study for name, study in by_name.items() if name not in of_reference}


def model_of(study: Study) -> str:
    """Return the model that a study trained."""
    return str(study["protocol"]["settings"]["train"]["model"])


def change(study: Study, arm: str, baseline: str = "real_only", segment: str = "all", metric: str = NE) -> str:
    """Return a relative change and its interval, "−1.11 % [−1.30, −0.92]"; a dash if the study has none."""
    for one in study["comparisons"]:
        if (one["arm"], one["baseline"], one["segment"], one["metric"]) == (arm, baseline, segment, metric):
            return written(one["relative_change"], one["interval"], coarse=metric == NDCG)
    return "–"


def written(value: float, interval: Sequence[float], *, coarse: bool = False) -> str:
    """Format a relative change and its interval, with fewer digits for large changes."""
    digits = 0 if coarse else 1 if abs(value) >= 0.1 else 2
    low, high = interval
    return f"{100 * value:+.{digits}f} % [{100 * low:+.{digits}f}, {100 * high:+.{digits}f}]".replace("-", "−")


def mean(study: Study, arm: str, metric: str) -> float:
    """Return an arm's mean over seeds."""
    return float(study["arms"][arm][metric]["mean"])


def gate(study: Study) -> str:
    """Return the segments in which augmentation is used."""
    open_for = {one["segment"]: one["open"] for one in study["choice"]["gate"]}
    if all(open_for.values()) or not any(open_for.values()):
        return "open" if any(open_for.values()) else "closed"
    return ", ".join(f"{segment} {'open' if is_open else 'closed'}" for segment, is_open in open_for.items())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def worth(studies: Studies) -> str:
    """Return the relative changes of `scalr` on each pair, by segment."""
    rows = [
        [
            name,
            *(change(study, "scalr", segment=segment) for segment in ("all", "warm", "cold")),
            f"{mean(study, 'real_only', NDCG):.4f} → {mean(study, 'scalr', NDCG):.4f}; "
            + change(study, "scalr", metric=NDCG),
            change(study, "scalr", segment="cold", metric=NDCG),
            gate(study),
        ]
        for name, study in studies.items()
    ]
    return table(["pair", "NE, all users", "warm", "cold", "NDCG@20", "cold NDCG@20", "gate"], rows)


def by_arm(studies: Studies, heading: str, cell: Callable[[Study, str], str], *, without: Sequence[str] = ()) -> str:
    """Return one row per arm and one column per pair."""
    arms = dict.fromkeys(arm for study in studies.values() for arm in study["arms"] if arm not in without)
    rows = [[arm, *(cell(study, arm) if arm in study["arms"] else "–" for study in studies.values())] for arm in arms]
    return f"{heading}\n\n" + table(["arm", *studies], rows)


def chosen(studies: Studies) -> str:
    """Return the settings chosen on validation, and the number of settings tried."""
    lines = []
    for name, study in studies.items():
        for arm in ("real_only", "scalr"):
            search = study["choice"]["searches"][arm]
            tried = {
                json.dumps(one["changes"], sort_keys=True) for trials in search["rounds"].values() for one in trials
            }
            settings = ", ".join(f"{key} {value}" for key, value in search["chosen"].items())
            lines.append(f"- {name}, `{arm}`, of {len(tried)} settings: {settings}")
    return "\n".join(lines)


def translations(studies: Studies) -> str:
    """Return perplexity, gain over popularity, reach and calibration of every translator."""

    def cell(study: Study, name: str) -> str:
        quality = study["translation"][name]
        gain = quality["mixed_gain_over_popularity"]
        low, high = gain["interval"]
        ratio = quality["calibration"]["ratio"]
        parts = (
            f"{quality['perplexity']:,.0f}",
            f"{gain['value']:+.3f} [{low:+.3f}, {high:+.3f}]",
            f"{100 * quality['reached']:.0f} %",
            "–" if ratio is None else f"{ratio:.1f}",
        )
        return "; ".join(parts).replace("-", "−")

    rows = [[name, *(cell(study, name) for study in studies.values())] for name in TRANSLATORS]
    return table(["translator", *studies], rows)


def models(studies: Studies, of_reference: Studies) -> str:
    """Return one table of model gains per pair; the name of a study begins with the name of its pair."""
    head = ["model", "NE of real events alone", "NE change, all users", "warm", "cold", "against shuffled users"]
    tables = []
    for pair, reference in of_reference.items():
        others = [study for name, study in studies.items() if name.startswith(pair)]
        rows = []
        for study in [reference, *others]:
            row = [f"`{model_of(study)}`", f"{mean(study, 'real_only', NE):.4f}"]
            row += [change(study, "scalr", segment=segment) for segment in ("all", "warm", "cold")]
            row += [change(study, "scalr", "shuffled_users")]
            row += [f"{mean(study, 'real_only', NDCG):.4f} → {mean(study, 'scalr', NDCG):.4f}", gate(study)]
            rows.append([*row, f"{study['protocol']['settings']['train']['synthetic_weight']:g}"])
        if others:
            tables.append(f"**{pair}**\n\n" + table([*head, "NDCG@20, real → scalr", "gate", "λ"], rows))
    return "\n\n".join(tables)


def claims(folders: Iterable[Path]) -> str:
    """Return the findings of sweeps about each claim, by pair."""
    findings: dict[str, dict[str, str]] = {}
    for folder in folders:
        for name, sweep in json.loads((folder / "sweeps.json").read_text())["sweeps"].items():
            row = findings.setdefault(f"{sweep['claim']} (`--sweep {name}`)", {})
            row[folder.name] = sweep["finding"]
    return table(
        ["claim", "ours"], [[claim, "<br>".join(map(": ".join, row.items()))] for claim, row in findings.items()]
    )


def main(arguments: Sequence[str]) -> None:
    """Print the tables of the studies in these folders."""
    folders = [Path(argument) for argument in arguments]
    swept = [folder for folder in folders if (folder / "sweeps.json").exists()]
    if swept:
        print(claims(swept))
    if len(swept) == len(folders):
        return
    of_reference, others = read_studies(folder for folder in folders if folder not in swept)
    sections = [
        worth(of_reference),
        by_arm(of_reference, "NE against real events only", change, without=["real_only"]),
        by_arm(
            of_reference,
            "SCALR against each arm (NE; below 0: SCALR predicts better)",
            lambda study, arm: change(study, "scalr", arm),
            without=["scalr"],
        ),
        by_arm(of_reference, "NDCG@20, mean over seeds", lambda study, arm: f"{mean(study, arm, NDCG):.4f}"),
        by_arm(of_reference, "NE, mean over seeds", lambda study, arm: f"{mean(study, arm, NE):.4f}"),
        "Chosen:\n\n" + chosen(of_reference),
        translations(of_reference),
    ]
    print("\n\n".join([*sections, models(others, of_reference)] if others else sections))


if __name__ == "__main__":
    main(sys.argv[1:])
