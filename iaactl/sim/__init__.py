"""A simulated machine with IAA devices, written from the kernel's ABI with constants of its own.

Nothing here may import the product (only `iaactl.errors`): a disagreement between the two is a
finding, not a mistake they share.
"""
