"""Compare ways to train over several seeds: what the synthetic events are worth, and what of it is transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scalr.evaluation import Evaluation, Fold, compare_arms, evaluation_of, get_rival
from scalr.foundation import RIVALS, Board, Pieces, SilentBoard, Steps
from scalr.logs import Pair
from scalr.studies.arms import arms_of
from scalr.studies.choosing.choice import Choice
from scalr.studies.choosing.races import Journal
from scalr.studies.choosing.tuning import choose
from scalr.studies.events import ArmResult, Contest, run_all
from scalr.studies.results import metric_means
from scalr.studies.translations import TranslationQuality, translation_quality
from scalr.synthesis import SyntheticEvents

STUDY_SCHEMA = "scalr.study/1"


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A finished comparison.

    Attributes:
        results: One per seed and arm, by seed, arms in the order asked for.
        choice: What the validation periods chose: settings by arm, the gate.
        pair: The whole logs.
        fold: The first seed's test fold.
        synthetic: The first seed's synthetic events in the test fold: arms `scalr` and, where asked for, `top1`.
        steps: The settings, chosen ones among them.
        popularity: Per seed, the metrics of popularity alone, which is no arm: it only says what a model must beat.
        translation: Every translator by itself on the first seed's test fold; it chooses nothing.
    """

    results: tuple[ArmResult, ...]
    choice: Choice
    pair: Pair
    fold: Fold
    synthetic: Mapping[str, SyntheticEvents]
    steps: Steps
    popularity: tuple[Evaluation, ...]
    translation: Mapping[str, TranslationQuality]

    def to_json(self) -> dict[str, Any]:
        """Return `study.json`: protocol, arms (all users), arms by segment, comparisons."""
        seeds = sorted({result.seed for result in self.results})
        by_arm = {arm: [r for r in self.results if r.arm == arm] for arm in dict.fromkeys(r.arm for r in self.results)}
        segments = {
            segment: {arm: metric_means([r.evaluation for r in results], segment) for arm, results in by_arm.items()}
            for segment in ("all", "warm", "cold")
        }
        return {
            "schema": STUDY_SCHEMA,
            "protocol": self._protocol(seeds),
            "arms": segments["all"],
            "segments": segments,
            "epochs": {arm: [r.epochs for r in results] for arm, results in by_arm.items()},
            "synthetic_events": {arm: [r.synthetic_events for r in results] for arm, results in by_arm.items()},
            "references": {"popularity": metric_means(self.popularity, "all")},
            "choice": self._choice(),
            "rivals": {arm: self._rival(arm, results) for arm, results in by_arm.items() if arm in RIVALS} or None,
            "comparisons": compare_arms({arm: [r.evaluation for r in results] for arm, results in by_arm.items()}),
            "translation": {name: quality.to_json() for name, quality in self.translation.items()},
        }

    def _choice(self) -> dict[str, Any]:
        choice = self.choice
        return {
            "seeds": min(self.steps.study.choosing_seeds, self.steps.study.seeds),
            "searches": {arm: search.to_json() for arm, search in choice.searches.items()},
            "settings": {arm: own.train.model_dump(mode="json") for arm, own in choice.own.items()},
            "gate": [opening.to_json() for opening in choice.openings] or None,
            "rehearsals": {name: [one.to_json() for one in own] for name, own in choice.rehearsed.items()} or None,
        }

    def _rival(self, arm: str, results: list[ArmResult]) -> dict[str, Any]:
        tried = get_rival(arm).strengths[: self.steps.study.rival_trials]
        return {"tried": [dict(one) for one in tried], "chosen": [dict(result.strength) for result in results]}

    def _protocol(self, seeds: list[int]) -> dict[str, Any]:
        fold = self.fold
        return {
            "seeds": seeds,
            "split": self.steps.split.model_dump(mode="json"),
            "interval": "Student t over seeds" if len(seeds) > 1 else "bootstrap over test users",
            "judged_pairs": len(fold.user),
            "judged_users": len(np.unique(fold.user)),
            "judged_cold_users": int(fold.is_cold(np.unique(fold.user)).sum()),
            "left_out": dict(fold.left_out),
            "tuning": (
                "popularity prior, half-life, penalty and step size: chosen by real_only on the validation periods of "
                "the first seeds, for all arms to begin with; strengths of conventional methods: chosen there by each "
                "of them; passes: chosen by each arm and seed on its own, then trained anew before the test period"
            ),
            "settings": self.steps.model_dump(mode="json", exclude={"seed", "study"}),
        }


def study(
    pair: Pair,
    steps: Steps | None = None,
    *,
    threads: int = 1,
    board: Board | None = None,
    journal: Journal | None = None,
    pieces: Pieces | None = None,
) -> Study:
    """Train every arm with every seed on one pair of logs and judge them on the same held-out events.

    First settings are chosen on validation periods (`auto`): by real events alone what all arms share, then, with the
    translator `auto`, by synthetic events how they are made and weighed, then the gate. Then, for each seed and arm:
    fit, sample and refine before the validation period, train with early stopping on it; fit, sample and refine anew
    before the test period, train for the chosen number of passes, and judge once.

    Arms: `real_only`; `oversampled_real` (as many repeats of real events as there are synthetic ones, of the same
    total weight, repeats of one in one row); `random_items`, `popular_items`, `shuffled_users` (the synthetic events
    with item or user exchanged, those that became real pairs dropped as well); `top1` (each source
    event's most probable item, at the total weight of `scalr`); `scalr`, behind the gate; conventional methods
    (`scalr.evaluation.cross_domain`), with what real events alone chose, and strengths of their own.

    Args:
        pair: The whole logs.
        steps: Settings of every step; defaults if None.
        threads: Arms trained at a time; the results do not depend on it.
        board: Shown the progress.
        journal: Trials that are known already.
        pieces: Seeds that are finished already, and where to keep those that get finished.

    Raises:
        InputError: If the logs cannot be cut as asked, or a model or arm does not exist or is not there together.
    """
    steps, board, pieces = steps or Steps(), board or SilentBoard(), pieces or Pieces()
    arms = arms_of(steps)
    seeds = range(steps.seed, steps.seed + steps.study.seeds)
    choice = choose(pair, steps, arms, journal=journal or Journal(), threads=threads, board=board)
    advance = board.stage("training and judging", 2 * len(seeds) * len(arms), "fits")
    contests = [Contest(pair, choice, seed, threads) for seed in seeds]
    kept = [pieces.get(f"seed-{seed}") for seed in seeds]
    fresh = run_all([one for one, known in zip(contests, kept, strict=True) if known is None], arms, threads, advance)
    results: list[ArmResult] = []
    popularity: list[Evaluation] = []
    for contest, known in zip(contests, kept, strict=True):
        if known is None:
            judged, counted = next(fresh), contest.popularity()
            made = {"results": [asdict(one) for one in judged], "popularity": asdict(counted)}
            pieces.put(f"seed-{contest.seed}", made)
        else:
            advance(2 * len(arms))
            judged, counted = [ArmResult.kept(one) for one in known["results"]], evaluation_of(known["popularity"])
        results += judged
        popularity.append(counted)
        if contest is contests[0]:
            fold, shown = contest.shown(arms)
        contest.forget()
    quality = translation_quality(fold, choice.steps.translate, seed=steps.seed, threads=threads)
    return Study(tuple(results), choice, pair, fold, shown, choice.steps, tuple(popularity), quality)
