"""Who takes part: each in a file of its own."""
