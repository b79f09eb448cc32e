"""Draw from every part, refine, and write: passes, their tasks, intermediate rows, files, days."""
