"""Frozen values without I/O: what is, what is wanted, and what would be done about it."""
