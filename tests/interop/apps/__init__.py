"""Apps whose tasks Go enqueues, or runs."""
