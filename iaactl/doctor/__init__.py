"""Findings about a machine: what is wrong, why, and what to type next."""
