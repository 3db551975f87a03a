"""iaactl: list, configure, diagnose and measure Intel IAA accelerators."""

__version__ = "0.1.0"
