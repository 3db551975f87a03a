"""Profile and inventory in, findings and an ordered plan out. Pure: no I/O, no clock."""

from iaactl.planner.plan import fingerprint, plan_profile, plan_reset, plan_restore

__all__ = ["fingerprint", "plan_profile", "plan_reset", "plan_restore"]
