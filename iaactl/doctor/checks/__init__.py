"""One subject a module: pure functions from what was seen to findings."""
