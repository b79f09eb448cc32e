"""Co-occurrence conditioned on the user: candidate paths of the source item, chosen by the user's affinity.

The paper writes P(i | u, j) and estimates it without u. Here P(i | u, j) is in proportion to the number of other users
who have both i and j times the user's own score for i (`affinity`): one of several candidate paths is drawn by score.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from scalr.foundation import Codes, ConfigError, Floats, Receipt, SampleSettings, Stopwatch, TranslateSettings, rng
from scalr.logs import EventLog, Pair, StoredPair
from scalr.synthesis.kernels import path_layout as layout
from scalr.synthesis.kernels import path_probability as pathlaw
from scalr.synthesis.kernels.candidate_choice import resample
from scalr.synthesis.translators.affinity import UserAffinity, fit_affinity
from scalr.synthesis.translators.cooccurrence import CooccurrenceTranslation, fit_cooccurrence
from scalr.synthesis.translators.protocol import Drawing, Draws
from scalr.synthesis.translators.queries import Asked, source_events

USERS_AT_ONCE = 256  # whose affinity to every target item a thread holds


@dataclass(frozen=True, slots=True, eq=False)
class ConditionedTranslation:
    """Paths, and how near users are to their ends."""

    paths: CooccurrenceTranslation
    affinity: UserAffinity
    candidates: int
    receipt: Receipt

    @property
    def pair(self) -> Pair | StoredPair:
        """Return the logs it was fitted on."""
        return self.paths.pair

    @property
    def fitted_until(self) -> int | None:
        """Return the latest time of any event it saw; None without time."""
        return self.paths.fitted_until

    def drawing(self, source: EventLog, settings: SampleSettings, *, seed: int, most: int) -> ConditionedDrawing:
        """Draw candidates to choose from; see `Translation.drawing`."""
        most_candidates = self.candidates * settings.draws_per_event
        proposed = settings.model_copy(update={"draws_per_event": most_candidates, "temperature": 1.0})
        drawing = self.paths.drawing(source, proposed, seed=seed, most=most)
        return ConditionedDrawing(drawing, self, settings, rng.stream(seed, rng.Purpose.CHOOSE), most)

    def probability(self, user: Codes, item: Codes) -> Floats:
        """Return P(item | user); see `Translation.probability`.

        The law is exact: in proportion to paths times affinity over all items behind a source item. Drawing chooses
        among `candidates` paths and comes near it with many of them.

        Raises:
            ConfigError: If the paths back off: the mixed law, weighed by affinity, is not summed over the catalogue.
        """
        if self.paths.backoff is not None:
            raise ConfigError(
                f"probabilities of 'conditioned' are not known with a back-off of {self.paths.backoff.pseudo_paths:g}",
                expected="a back-off of 0",
                fix="fit without back-off, or ask 'cooccurrence'",
            )
        stored = StoredPair.from_pair(self.pair)
        asked = Asked.of(user, item, len(stored.target.users))
        total = np.zeros(len(item))

        def sum_up(first: int) -> None:
            self._add(stored, asked, (first, min(first + USERS_AT_ONCE, len(asked.users))), total)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(sum_up, range(0, len(asked.users), USERS_AT_ONCE)):
                pass
        return asked.answer(total, source_events(stored))

    def _add(self, stored: StoredPair, asked: Asked, rows: tuple[int, int], total: Floats) -> None:
        """Add up what the source events of some asked users say; nobody else touches their places in `total`."""
        affinity, target = self.affinity, self.paths.target
        n_target = len(affinity.item_factors)
        users, start = asked.users[rows[0] : rows[1]], asked.start[rows[0] : rows[1] + 1]
        near = np.empty((len(users), n_target), np.float32)
        pathlaw.fill_affinities(
            users, affinity.user_factors, affinity.item_factors, affinity.own_share, target.start, target.item, near
        )
        row_of_user = np.full_like(asked.row_of_user, -1)
        row_of_user[users] = np.arange(len(users), dtype=np.int32)
        own = slice(int(start[0]), int(start[-1]))
        for part in stored.source.parts():
            half = self.paths.lay_out(part)
            workspace = layout.make_workspace(half.max_events, half.max_paths, n_target, weighted=False)
            paths = self.paths.path_arguments(half)
            given = (
                workspace, row_of_user, near, start - start[0], asked.item[own], *paths, total[own], self.paths.least,
            )  # fmt: skip
            pathlaw.add_conditioned(*given)


class ConditionedDrawing:
    """Draws among candidate paths; see `Drawing`.

    With the strategy `topk` the candidates are the items with the highest counts.
    """

    def __init__(
        self, candidates: Drawing, translation: ConditionedTranslation, settings: SampleSettings, stream: np.uint64,
        most: int,
    ) -> None:  # fmt: skip
        self.events = candidates.events
        self._candidates = candidates
        self._given = (translation, settings, stream, most)
        self._affinity, self._target = translation.affinity, translation.paths.target
        self._settings, self._stream = settings, stream
        rows = most * settings.draws_per_event
        self._item, self._support = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._confidence = np.empty(rows, np.float32)

    def fork(self) -> ConditionedDrawing:
        """Return the same with a workspace of its own."""
        return ConditionedDrawing(self._candidates.fork(), *self._given)

    def draw(self, first: int, last: int) -> Draws:
        """Draw for events [first, last); see `Drawing.draw`."""
        found = self._candidates.draw(first, last)
        settings, affinity = self._settings, self._affinity
        rows = (last - first) * settings.draws_per_event
        item, confidence, support = self._item[:rows], self._confidence[:rows], self._support[:rows]
        resample(
            self.events.user[first:last], found.key, self._stream, settings.draws_per_event,
            1.0 / settings.temperature, settings.strategy == "topk", affinity.user_factors, affinity.item_factors,
            affinity.own_share, self._target.start, self._target.item, found.item, found.confidence, found.support,
            item, confidence, support,
        )  # fmt: skip
        return Draws(found.key, item, confidence, support)


def fit_conditioned(pair: Pair | StoredPair, settings: TranslateSettings) -> ConditionedTranslation:
    """Lay the target histories out by user, and fit how near users are to target items.

    A cap on histories bounds what testifies in paths and in the regression's target; users' source items enter the
    regression in full, as one row of norm 1 each.

    Raises:
        SchemaError: If a window is asked for and a log has no time.
    """
    stored = StoredPair.from_pair(pair)
    with Stopwatch() as watch:
        paths = fit_cooccurrence(pair, settings)
        affinity = fit_affinity(
            stored, paths.target.start, paths.target.item, settings.rank, settings.ridge, settings.fit_pairs
        )
    receipt = watch.receipt("fit", paths.receipt.rows_in, paths.receipt.rows_out, translator="conditioned")
    return ConditionedTranslation(paths, affinity, settings.candidates, receipt)
