"""Ids of generations, and combinations of settings that privacy forbids."""

from __future__ import annotations

import hashlib

from scalr.foundation import ConfigError, Steps
from scalr.logs import StoredPair
from scalr.synthesis.negatives import NegativeLaw


def generation_id(pair: StoredPair, settings_digest: str, seed: int) -> str:
    """Return 16 hexadecimal digits that identify a generation: equal for equal events, settings and seed.

    Events enter as sums of hashes, so row order and file format have no effect.
    """
    text = f"{settings_digest}/{seed}/{pair.source_counts.digest}/{pair.target.digest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def generation_name(pair: StoredPair, steps: Steps) -> str:
    """Return the generation id of logs and settings; settings of later versions enter only if they are on."""
    off = {"backoff": not steps.translate.backoff, "privacy": not steps.translate.privacy.is_on}
    names = {setting for setting, is_off in off.items() if is_off}
    later = {"translate": names} if names else None
    named = {"translate", "sample", "refine"} | ({"negatives"} if steps.negatives.kind != "none" else set())
    settings = steps.model_copy(update={"seed": 0}).model_dump_json(include=named, exclude=later)
    return generation_id(pair, settings, steps.seed)


def refuse_unprotected(steps: Steps) -> None:
    """Check that differential privacy is not combined with steps that use other users without noise.

    Raises:
        ConfigError: If `privacy.epsilon` is set with alignment, a cap per item or negative rows.
    """
    refined = steps.refine
    looks = {
        "refine.align": refined.align is not None,
        "refine.max_per_item": refined.max_per_item is not None,
        "negatives": steps.negatives.kind != "none",
    }
    active = [name for name, is_on in looks.items() if is_on]
    if steps.translate.privacy.epsilon is not None and active:
        raise ConfigError(
            f"privacy.epsilon is {steps.translate.privacy.epsilon:g} with {', '.join(active)}, which has no noise",
            expected="only steps that look at noisy counts and the row's own user",
            fix="turn it off (--align none, --negatives none), or use --privacy k=N",
        )


def negative_law(pair: StoredPair, steps: Steps) -> NegativeLaw | None:
    """Return the law of negative rows; None without them.

    Raises:
        SchemaError: If the target log of negative rows is not a log of impressions.
    """
    return None if steps.negatives.kind == "none" else NegativeLaw.from_log(pair.target, steps.negatives, steps.seed)
