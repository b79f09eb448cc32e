"""One setting changed at a time, and what the paper claims beside it."""
