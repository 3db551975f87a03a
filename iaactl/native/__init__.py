"""The native core: C through cffi in API mode."""
