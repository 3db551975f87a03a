"""The kernel's compression algorithms, as /proc/crypto lists them.

iaa_crypto registers its own with the first work queue it gets, and keeps it until it is unloaded,
also when it has no queue any more.
"""

from __future__ import annotations

PATH = "/proc/crypto"

_SOFTWARE = ("deflate", "deflate-generic", "kernel", 0, "compression")
_IAA = ("deflate", "deflate-iaa", "iaa_crypto", 300, "acomp")


def listing(*, iaa: bool) -> str:
    """The text of /proc/crypto, of which only algorithms called deflate are told."""
    return "".join(
        f"name         : {name}\n"
        f"driver       : {driver}\n"
        f"module       : {module}\n"
        f"priority     : {priority}\n"
        "refcnt       : 1\n"
        "selftest     : passed\n"
        "internal     : no\n"
        f"type         : {kind}\n\n"
        for name, driver, module, priority, kind in ((_IAA, _SOFTWARE) if iaa else (_SOFTWARE,))
    )
