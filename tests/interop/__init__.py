"""Go's Asynq on the other side of the storage."""
