"""Names of generations, and combinations that privacy settings refuse."""

from __future__ import annotations

import hashlib

from scalr.foundation import ConfigError, Steps
from scalr.logs import StoredPair
from scalr.synthesis.negatives import NegativeLaw


def generation_id(pair: StoredPair, settings_digest: str, seed: int) -> str:
    """Return 16 hexadecimal digits that name one generation: the same for the same events, settings and seed.

    The events enter as sums of hashes, so neither row order nor file format matters.
    """
    text = f"{settings_digest}/{seed}/{pair.source_counts.digest}/{pair.target.digest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def generation_name(pair: StoredPair, steps: Steps) -> str:
    """Return the generation id of logs and settings; settings that came later count only where they are on."""
    off = {"backoff": not steps.translate.backoff, "privacy": not steps.translate.privacy.is_on}
    names = {setting for setting, is_off in off.items() if is_off}
    later = {"translate": names} if names else None
    named = {"translate", "sample", "refine"} | ({"negatives"} if steps.negatives.kind != "none" else set())
    settings = steps.model_copy(update={"seed": 0}).model_dump_json(include=named, exclude=later)
    return generation_id(pair, settings, steps.seed)


def refuse_unprotected(steps: Steps) -> None:
    """Refuse steps that look at other users without noise, where differential privacy is asked for.

    Raises:
        ConfigError: If events would be aligned, capped per item, or get negative rows.
    """
    refined = steps.refine
    looks = {
        "refine.align": refined.align is not None,
        "refine.max_per_item": refined.max_per_item is not None,
        "negatives": steps.negatives.kind != "none",
    }
    found = [name for name, is_on in looks.items() if is_on]
    if steps.translate.privacy.epsilon is not None and found:
        raise ConfigError(
            f"privacy.epsilon is {steps.translate.privacy.epsilon:g} with {', '.join(found)}, which knows no noise",
            expected="only steps that look at noisy counts and the row's own user",
            fix="leave it out (--align none, --negatives none), or protect by --privacy k=N",
        )


def negative_law(pair: StoredPair, steps: Steps) -> NegativeLaw | None:
    """Return what negative rows are drawn from; None where none are asked for.

    Raises:
        SchemaError: If they are asked for and the target log is no log of impressions.
    """
    return None if steps.negatives.kind == "none" else NegativeLaw.of(pair.target, steps.negatives, steps.seed)
