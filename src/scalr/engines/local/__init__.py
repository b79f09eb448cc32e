"""The engine of this machine: part by part, in bounded memory, on all cores."""
