"""Cost and protection of a minimum number of other users: `python -m benchmarks.privacy`.

Measures the advantage of membership attacks (`benchmarks.membership`) and normalized entropy, for `cooccurrence` and
`factor`, without protection, with k = 3, 5, 10, and for counts with noise (epsilon = 1, 4; extra `privacy`). Writes the
figures and a picture.
"""

from __future__ import annotations

import argparse
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.growth import to_svg
from benchmarks.membership import attacked
from benchmarks.tables import aligned

from scalr.foundation.config import Steps
from scalr.foundation.errors import require_extra
from scalr.logs.event_log import Pair
from scalr.logs.reading import read_pair
from scalr.logs.simulation import simulate
from scalr.report.drawing import BLUE, EXTRA, GREY, GRID, MUTED, ORANGE
from scalr.studies.events import study

TRANSLATORS = ("cooccurrence", "factor")
LEVELS = (1, 3, 5, 10)
EPSILONS = (1.0, 4.0)
_COLORS = {"cooccurrence": BLUE, "factor": ORANGE, "cooccurrence, with noise": GREY}


def steps_of(translator: str, k: int, seeds: int = 1, epsilon: float | None = None) -> Steps:
    """Return the settings of one point."""
    return Steps.parse(
        {
            "translate": {"translator": translator, "rank": 16, "privacy": {"k": k, "epsilon": epsilon}},
            "refine": {"align": None},
            "split": {"hide_overlap": 0.5},
            "study": {"arms": ["real_only", "scalr"], "seeds": seeds, "baseline_trials": 0, "gate": False},
        }
    )


def ceiling(steps: Steps) -> float:
    """Return the largest advantage that any attack on a release with noise can have."""
    privacy = steps.translate.privacy
    assert privacy.epsilon is not None, "a release without noise has no bound"
    return math.tanh(privacy.epsilon / 2) + privacy.delta


def worth(pair: Pair, steps: Steps) -> dict[str, Any]:
    """Return the relative change of normalized entropy against real events alone, with its interval over seeds."""
    content = study(pair, steps, threads=1).to_json()
    for one in content["comparisons"]:
        if (one["arm"], one["baseline"], one["segment"], one["metric"]) == (
            "scalr", "real_only", "all", "normalized_entropy",
        ):  # fmt: skip
            return {"ne_change": one["relative_change"], "ne_interval": one["interval"]}
    raise AssertionError("a study compares its arms")


def chart(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the specification of the picture: advantage of the attack against the change of normalized entropy."""
    alt = require_extra("altair", EXTRA)
    shown = [
        {
            "translator": point["translator"] if point["epsilon"] is None else "cooccurrence, with noise",
            "k": point["k"] if point["epsilon"] is None else -point["epsilon"],
            "label": f"k = {point['k']}" if point["epsilon"] is None else f"ε = {point['epsilon']:g}",
            "law": point["law"]["value"],
            "low": point["law"]["low"],
            "high": point["law"]["high"],
            "ne": 100 * point["ne_change"],
        }
        for point in points
    ]
    x = alt.X("ne:Q", scale=alt.Scale(zero=False, padding=40)).title("change of normalized entropy, %")
    y = alt.Y("law:Q", scale=alt.Scale(zero=True)).title("advantage of the attack")
    colors = alt.Scale(domain=list(_COLORS), range=list(_COLORS.values()))
    base = alt.Chart(alt.Data(values=shown)).encode(
        x=x, color=alt.Color("translator:N", scale=colors).title(None), detail="translator:N"
    )
    line = base.mark_line(strokeWidth=2).encode(y=y, order="k:Q")
    spread = base.mark_rule(strokeWidth=1, opacity=0.6).encode(y="low:Q", y2="high:Q")
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(y=y)
    left, right = (
        base.transform_filter(f"{sign}(datum.translator === 'factor')")
        .mark_text(dx=side * 8, dy=side * -8, align=align, fontSize=12)
        .encode(y=y, text="label:N")
        for sign, side, align in (("", -1, "right"), ("!", 1, "left"))
    )
    plain: dict[str, Any] = (line + spread + dots + left + right).properties(width=460, height=280).to_dict()
    axis = {"labelColor": MUTED, "titleColor": MUTED, "gridColor": GRID, "domain": False, "ticks": False}
    config = {"background": "white", "view": {"stroke": None}, "axis": {**axis, "titleFontWeight": "normal"}}
    return {**plain, "config": config, "padding": 10}


def table(points: list[dict[str, Any]]) -> str:
    """Return the figures as text."""
    rows = [("", "", "the law", "95 %", "everyone else", "rows", "below 3", "below 5", "NE %", "95 %")]
    for point in points:
        law, interval = point["law"], point["ne_interval"] or (float("nan"),) * 2
        rows.append(
            (
                point["translator"],
                f"k = {point['k']}" if point["epsilon"] is None else f"ε = {point['epsilon']:g}",
                f"{law['value']:.3f}",
                f"[{law['low']:.3f}, {law['high']:.3f}]",
                f"{'' if point['epsilon'] is None else '≤ '}{point['everyone']['value']:.3f}",
                f"{point['rows']:,}",
                *(f"{100 * point['share_below'].get(least, 0):.1f} %" for least in ("3", "5")),
                f"{100 * point['ne_change']:+.2f}",
                f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]",
            )
        )
    return aligned(rows, left=1)


def main() -> None:
    """Print the table; write the figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--worlds", type=int, default=40, help="number of worlds for the evaluation, and of shadow worlds"
    )
    parser.add_argument("--users", type=int, default=300, help="users of a world")
    parser.add_argument("--candidates", type=int, default=20, help="users of a world whose membership is attacked")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each study")
    parser.add_argument("--data", type=Path, help="folder of source.parquet and target.parquet, for the entropy")
    parser.add_argument("--out", type=Path, default=Path("docs/privacy-membership.svg"))
    parser.add_argument("--figures", type=Path, default=Path("benchmark-output/privacy.json"))
    options = parser.parse_args()
    if options.data:
        pair = read_pair(str(options.data / "source.parquet"), str(options.data / "target.parquet"))
    else:
        pair = simulate(n_users=800, seed=1).pair
    points = []
    settings: list[tuple[str, int, float | None]] = [(name, k, None) for name in TRANSLATORS for k in LEVELS]
    settings += [("cooccurrence", 1, epsilon) for epsilon in EPSILONS if find_spec("opendp")]
    for translator, k, epsilon in settings:
        steps = steps_of(translator, k, options.seeds, epsilon)
        attack = attacked(
            steps, worlds=options.worlds, users=options.users, candidates=options.candidates,
            by_item=translator == "factor",
        )  # fmt: skip
        if epsilon is not None:  # a bound on every attack, whatever the attacker knows
            attack["everyone"] = {"value": ceiling(steps)}
        points.append({"translator": translator, "k": k, "epsilon": epsilon, **attack, **worth(pair, steps)})
        print(table(points[-1:]), flush=True)
    print(table(points))
    options.figures.parent.mkdir(parents=True, exist_ok=True)
    options.figures.write_text(json.dumps(points, indent=2) + "\n")
    options.out.write_text(to_svg(chart(points)) + "\n")
    print(f"written to {options.figures} and {options.out}")


if __name__ == "__main__":
    main()
