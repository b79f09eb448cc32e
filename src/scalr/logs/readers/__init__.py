"""From a user's columns to arrays, batch by batch: one reader per role.

A reader converts what it can and remembers what it cannot; `finish` refuses with what it saw in the whole column.
"""
