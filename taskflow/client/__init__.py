"""What an app enqueues with: from messages to the broker, alone, together with others, or in bulk."""
