"""Tables in files and frames: columns in, Arrow out. They have no notion of recommendation."""
