"""The migration benchmark: memory to migrate, the pre-copy loop, two hosts, figures, advice, page."""
