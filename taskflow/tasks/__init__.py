"""What users see: the app, its tasks, their results, and the running task."""
