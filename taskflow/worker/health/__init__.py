"""Whether a worker gets on, and how it says so."""
