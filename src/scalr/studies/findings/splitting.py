"""What a reader must know about the split of a study, in words."""

from __future__ import annotations

from scalr.foundation import Json

_NO_TIME = (
    "This is not a split by time: training uses events of other users that may be later than the evaluated ones, so "
    "the figures do not measure a prediction of the future."
)


def split_warnings(content: Json) -> tuple[str, ...]:
    """Return a sentence on a split that is not a split by time although the logs have a time column; none otherwise.

    Args:
        content: Content of `study.json`, `evaluation.json` or `sweeps.json`; contents of earlier versions do not state
            the rule of the split.
    """
    rule = (content.get("protocol") or {}).get("split_rule")
    if rule is None or rule["by"] == "random" or (rule["by"] == "time" and not rule["own_order"]):
        return ()
    orders = "orders the events of each user only, not those of different users"
    if rule["by"] == "time":
        how = f"at one number for all users (--split time), although the time column {orders}"
        return (f"The logs were split {how}. {_NO_TIME} Use --split per_user, or omit --split.",)
    reason = f", because the time column {orders}" if rule["own_order"] else ""
    declared = " (--split per_user)" if rule["declared"] else ""
    return (f"The logs were split per user, before each user's own last events{declared}{reason}. {_NO_TIME}",)
