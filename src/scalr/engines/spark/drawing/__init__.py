"""Draws of every part, refined and written by tasks."""
