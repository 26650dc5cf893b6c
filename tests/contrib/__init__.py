"""The framework examples, as a reader would run them: a real web server, a real worker, a real broker."""
