"""Profiles as files: find and load them, presets, and accel-config's JSON in and out."""
