"""Compare ways to train over several seeds: what the synthetic events are worth, and what of it is transfer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scalr.arms import Synthesis
from scalr.auto import Choice, choose
from scalr.config import DEFAULT_ARMS, RIVALS, Arm, Steps
from scalr.domain import Pair
from scalr.errors import ConfigError, unknown_name
from scalr.evaluate import Evaluation, evaluate, evaluation_of
from scalr.gate import gated
from scalr.metrics.comparison import compare_arms
from scalr.models import REFERENCE, get_model
from scalr.models.popularity import count_popularity
from scalr.pieces import Pieces
from scalr.progress import Board, SilentBoard
from scalr.rivals import Strength, get_rival, train_rival
from scalr.split import Fold, Split, split
from scalr.synthetic import SyntheticEvents, catalogue_of
from scalr.train import Trained, train
from scalr.translation_quality import TranslationQuality, translation_quality
from scalr.translators import translator_names
from scalr.trials import Journal

STUDY_SCHEMA = "scalr.study/1"


@dataclass(frozen=True, slots=True, eq=False)
class ArmResult:
    """One arm trained and judged with one seed.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        epochs: Passes over the events, chosen on the validation fold.
        evaluation: Metrics on the test fold.
        synthetic_events: Synthetic events it was trained on in the test fold.
        strength: Of a conventional method, its own settings, chosen on the validation fold; empty for all else.
    """

    arm: str
    seed: int
    epochs: int
    evaluation: Evaluation
    synthetic_events: int
    strength: Strength


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
                "the first seeds, for all arms; passes, and strengths of conventional methods: chosen by each arm and "
                "seed there, then trained anew before the test period"
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
    (`scalr.rivals`), with what real events alone chose, and strengths of their own that they choose on the validation
    period of every seed.

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
    results: list[ArmResult] = []
    popularity: list[Evaluation] = []
    first: tuple[Fold, dict[str, SyntheticEvents]] | None = None
    for seed in seeds:
        kept = pieces.get(f"seed-{seed}")
        if kept is not None:
            advance(2 * len(arms))
            results += [_result_of(one) for one in kept["results"]]
            popularity.append(evaluation_of(kept["popularity"]))
            if first is not None:
                continue
        folds = split(pair, steps.split, seed)
        synthesis = Synthesis(folds.test, seed, threads=threads)
        if kept is None:
            judged = _of_seed(folds, synthesis, arms, choice, seed, threads, advance)
            counted = _judge_popularity(folds.test, choice.steps, seed)
            pieces.put(f"seed-{seed}", {"results": [asdict(one) for one in judged], "popularity": asdict(counted)})
            results += judged
            popularity.append(counted)
        if first is None:
            shown = {"scalr": synthesis.scalr(choice.of("scalr"))}
            shown |= {"top1": synthesis.top1(choice.of("top1"))} if "top1" in arms else {}
            first = folds.test, shown
    assert first is not None  # seeds >= 1
    quality = translation_quality(first[0], choice.steps.translate, seed=steps.seed, threads=threads)
    return Study(tuple(results), choice, pair, first[0], first[1], choice.steps, tuple(popularity), quality)


def check_names(steps: Steps) -> None:
    """Refuse a translator or model that does not exist, before anything is read or trained.

    Raises:
        ConfigError: If there is none of that name.
    """
    if steps.translate.translator not in ("auto", *translator_names()):
        raise unknown_name("translator", steps.translate.translator, ("auto", *translator_names()))
    get_model(steps.train.model)


def arms_of(steps: Steps) -> tuple[Arm, ...]:
    """Return the arms of a study, `real_only` first.

    Conventional methods are built on the reference model, so beside another one they would compare models too: the
    default arms then go without them.

    Raises:
        ConfigError: If such arms were asked for.
    """
    asked: tuple[Arm, ...] = tuple(dict.fromkeys(("real_only", *steps.study.arms)))
    rivals = [arm for arm in asked if arm in RIVALS]
    if steps.train.model == REFERENCE or not rivals:
        return asked
    if steps.study.arms != DEFAULT_ARMS:
        raise ConfigError(
            f"arm '{rivals[0]}' is a conventional method, which is there for model '{REFERENCE}' only",
            expected=f"arms without {', '.join(RIVALS)} for model '{steps.train.model}'",
            fix=f"leave these arms out, or use model '{REFERENCE}'",
        )
    return tuple(arm for arm in asked if arm not in rivals)


def _of_seed(
    folds: Split,
    synthesis: Synthesis,
    arms: Sequence[Arm],
    choice: Choice,
    seed: int,
    threads: int,
    advance: Callable[[int], None],
) -> list[ArmResult]:
    """Train every arm with a seed, twice, and judge it; `synthesis` is that of the test fold."""
    chosen: dict[Arm, Trained | None] = dict.fromkeys(arms)
    for one in (Synthesis(folds.validation, seed, threads=threads), synthesis):
        one.scalr(choice.steps)  # with all threads, before the arms take one each
        trained = _train_all(one.fold, one, choice, chosen, seed, threads, advance)
        chosen = {arm: done for arm, (done, _) in trained.items()}
    return _judge_all(folds.test, trained, choice, seed, threads)


def _result_of(kept: Mapping[str, Any]) -> ArmResult:
    """Return the result that was kept as plain values and arrays."""
    return ArmResult(**{**kept, "evaluation": evaluation_of(kept["evaluation"])})


def _train_all(
    fold: Fold,
    synthesis: Synthesis,
    choice: Choice,
    chosen: Mapping[Arm, Trained | None],
    seed: int,
    threads: int,
    advance: Callable[[int], None],
) -> dict[Arm, tuple[Trained, int]]:
    """Train every arm on a fold as the one before chose, else choose; also return its synthetic events."""

    def one(arm: Arm) -> tuple[Trained, int]:
        earlier, limits = chosen[arm], choice.steps.study
        if arm in RIVALS:
            shared = choice.of("real_only").train
            rival = train_rival(arm, fold, shared, seed, trials=limits.rival_trials, chosen=earlier, threads=threads)
            advance(1)
            return rival, 0
        epochs = None if earlier is None else earlier.epochs
        events, extra = synthesis.arm(arm, choice.of(arm))
        trained = train(fold, events, choice.of(arm).train, seed, epochs=epochs, extra_real=extra)
        advance(1)
        return trained, 0 if events is None else len(events)

    longest_first = sorted(chosen, key=lambda arm: arm not in RIVALS)  # they try several strengths
    with ThreadPoolExecutor(threads) as pool:
        done = dict(zip(longest_first, pool.map(one, longest_first), strict=True))
    return {arm: done[arm] for arm in chosen}


def _judge_all(
    fold: Fold, trained: Mapping[Arm, tuple[Trained, int]], choice: Choice, seed: int, threads: int
) -> list[ArmResult]:
    """Judge every arm; `scalr` with real events alone where its gate is closed."""
    real_only = trained["real_only"][0].model

    def one(arm: Arm) -> ArmResult:
        model, (done, n_events) = trained[arm][0].model, trained[arm]
        if arm == "scalr" and choice.openings:
            model = gated(model, real_only, fold, choice.openings)
        judged = evaluate(model, fold, choice.steps.evaluate, seed)
        return ArmResult(arm, seed, done.epochs, judged, n_events, done.strength)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, trained))


def _judge_popularity(fold: Fold, steps: Steps, seed: int) -> Evaluation:
    target = fold.pair.target
    counted = count_popularity(target, catalogue_of(target), steps.evaluate.negatives)
    return evaluate(counted, fold, steps.evaluate, seed)


def metric_means(evaluations: Sequence[Evaluation], segment: str) -> dict[str, dict[str, Any]]:
    """Return {metric: {mean, per_seed}}; null where a segment has no judged pairs."""
    metrics: dict[str, dict[str, Any]] = {}
    for name in evaluations[0].segments[segment]:
        values = [evaluation.segments[segment][name] for evaluation in evaluations]
        known = [value for value in values if value is not None]
        metrics[name] = {"mean": float(np.mean(known)) if known else None, "per_seed": values}
    return metrics
