"""Engines read and write tables. They know columns, not recommendation."""
