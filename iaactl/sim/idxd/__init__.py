"""The idxd driver and the devices under it, as seen from sysfs and /dev.

Written from the kernel's ABI document and from recordings of the driver of Linux 6.16 and 7.3.
"""
