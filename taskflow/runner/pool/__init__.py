"""Where tasks run in a child: threads for functions, one event loop for coroutines."""
