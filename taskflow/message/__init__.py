"""What crosses the wire: messages, their payloads, ids and records. Every module here is pure."""
