"""The session, broadcasts, the layout of the source in parts, and a part in a task."""
