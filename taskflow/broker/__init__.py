"""Asynq's storage: keys, scripts, and the commands that run them, as values; two drivers carry them out."""
