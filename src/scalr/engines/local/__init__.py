"""The engine of this machine: part by part, in bounded memory, on all cores.

    part_files  part files that appear whole, with their digests
    passes      decisions that need all draws: duplicates, alignment, caps
    writing     `write_events`: fit, decide, draw and write

Files are the same, byte for byte, for any number of threads and any memory.
"""
