"""Real operations through real queues, each result checked against an independent computation."""
