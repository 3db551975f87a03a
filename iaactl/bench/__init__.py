"""The migration benchmark: memory, the pre-copy loop, two hosts, figures, advice, HTML page."""
