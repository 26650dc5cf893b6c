"""How soon a soft limit and a cancel reach a task in a blocking call, and whether they ever hit the next task."""
