"""What every worker does for its queues besides running tasks: forward, recover, clean up."""
