"""Readers of a user's columns, one per role: from Arrow batches to arrays.

A reader converts batches and records values that it cannot convert; `finish` raises an error about the whole column.
"""
