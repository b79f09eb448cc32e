"""Compiled loops over integer codes. They know arrays, not recommendation."""
