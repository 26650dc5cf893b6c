"""What tests of queues need."""
