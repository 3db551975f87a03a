"""Adapters to the machine, one kind of thing each. They decide nothing."""
