"""Under which name a test reports what it tried: (kind, "correct", "refused" or "fault", slowest seconds, inputs)."""

FIGURE = "hostile input"
