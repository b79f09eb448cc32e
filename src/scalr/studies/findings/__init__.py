"""What a study found, in words and numbers, without HTML."""
