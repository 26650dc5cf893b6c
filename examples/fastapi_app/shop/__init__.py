"""A service that imports rows, and says how far it is."""
