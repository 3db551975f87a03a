"""The simulated analytics engine: executes descriptors on the memory of whoever submitted them."""

from iaactl.sim.iaa.engine import execute
from iaactl.sim.iaa.limits import WqLimits
from iaactl.sim.iaa.memory import Fault, FlatMemory, Memory, ProcessMemory
from iaactl.sim.iaa.orders import Order, Orders

__all__ = [
    "Fault",
    "FlatMemory",
    "Memory",
    "Order",
    "Orders",
    "ProcessMemory",
    "WqLimits",
    "execute",
]
