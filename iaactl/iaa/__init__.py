"""The hardware's language: descriptors, completion records and capabilities, bytes to values."""
