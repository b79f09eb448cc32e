"""Translators: recipes that fit P(target item | user, source item) on a pair of logs.

All implement one protocol and pass one contract test. A new translator is a module here and a line in `_TRANSLATORS`.
"""

from __future__ import annotations

from scalr.foundation import ConfigError, TranslateSettings, unknown_name
from scalr.logs import Pair, StoredPair
from scalr.synthesis.translators.conditioned import fit_conditioned
from scalr.synthesis.translators.cooccurrence import fit_cooccurrence
from scalr.synthesis.translators.factor import fit_factor
from scalr.synthesis.translators.popularity import fit_popularity, fit_random
from scalr.synthesis.translators.private import fit_private
from scalr.synthesis.translators.protocol import Drawing, Draws, Translation, Translator

__all__ = ["Drawing", "Draws", "Translation", "Translator", "fit", "translator_names"]

_TRANSLATORS: dict[str, Translator] = {
    "cooccurrence": fit_cooccurrence,
    "conditioned": fit_conditioned,
    "factor": fit_factor,
    "popularity": fit_popularity,
    "random": fit_random,
}


def translator_names() -> tuple[str, ...]:
    """Return the names of all translators."""
    return tuple(_TRANSLATORS)


def fit(
    pair: Pair | StoredPair, translator: str | None = None, *, settings: TranslateSettings | None = None
) -> Translation:
    """Estimate P(target item | user, source item) from users active in both domains.

    Args:
        pair: Logs of the fit; for evaluation those of a fold, never the whole logs.
        translator: Name of the translator; overrides the one in `settings`.
        settings: History cap and window; defaults if None.

    Raises:
        ConfigError: If the name is unknown, or is 'auto'.

    Example:
        >>> import scalr
        >>> world = scalr.simulate(n_users=200, seed=1)
        >>> translation = scalr.fit(world.pair, "cooccurrence")
        >>> len(scalr.sample(translation, seed=1)) > 0
        True
    """
    settings = settings or TranslateSettings()
    name = translator or settings.translator
    if name == "auto":
        raise ConfigError(
            "translator 'auto' needs a validation period, which this step does not have",
            expected=f"one of {', '.join(_TRANSLATORS)}",
            fix="run `scalr study` or `scalr run` with 'auto', then use its choice",
        )
    if settings.privacy.epsilon is not None and name not in ("popularity", "random"):
        return fit_private(pair, settings.model_copy(update={"translator": name}))
    if name not in _TRANSLATORS:
        raise unknown_name("translator", name, _TRANSLATORS)
    return _TRANSLATORS[name](pair, settings)
