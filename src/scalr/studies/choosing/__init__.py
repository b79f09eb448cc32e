"""Settings chosen on validation periods."""
