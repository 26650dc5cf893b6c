"""Another app, with coroutines."""
