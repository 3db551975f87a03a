"""How the kernel reads the text of an attribute: numbers, booleans, words, masks.

All functions take the exact bytes of one write. Text ends at the first NUL.
"""

from __future__ import annotations

import errno

from iaactl.sim.kernfs import refuse

_TRUE, _FALSE = b"yYtTeE1", b"nNfFdD0"
_DIGITS = b"0123456789abcdef"
WHITE = b" \t\n\r\v\f"


def text(data: bytes) -> bytes:
    """What is before the first NUL."""
    return data.split(b"\0", 1)[0]


def integer(data: bytes, *, base: int = 10, signed: bool = False, bits: int = 64) -> int:
    """A number with at most one newline after it. Raises EINVAL, or ERANGE where it is too big."""
    digits = text(data)
    digits = digits.removesuffix(b"\n")
    negative = False
    if digits[:1] == b"+":
        digits = digits[1:]
    elif signed and digits[:1] == b"-":
        negative, digits = True, digits[1:]
    digits = digits.lower()
    if base == 0:
        base = 10
        if digits[:1] == b"0":
            base = 8
            if digits[:2] == b"0x" and digits[2:3] and digits[2:3] in _DIGITS:
                base, digits = 16, digits[2:]
    if not digits or any(d not in _DIGITS[:base] for d in digits):
        raise refuse(errno.EINVAL)
    value = int(digits, base)
    limit = 1 << (bits - 1 if signed else bits)
    if value > limit - (0 if signed and negative else 1):
        raise refuse(errno.ERANGE)
    return -value if negative else value


def number(data: bytes, *, base: int = 10, signed: bool = False, bits: int = 64) -> int:
    """As `integer`, for stores that turn every failure into EINVAL."""
    try:
        return integer(data, base=base, signed=signed, bits=bits)
    except OSError:
        raise refuse(errno.EINVAL) from None


def boolean(data: bytes) -> bool:
    """Only the first character counts, two for `on` and `off`. Raises EINVAL."""
    words = text(data)
    first, second = words[:1], words[1:2].lower()
    if first and first in _TRUE:
        return True
    if first and first in _FALSE:
        return False
    if first in (b"o", b"O"):
        if second == b"n":
            return True
        if second == b"f":
            return False
    raise refuse(errno.EINVAL)


def word(data: bytes) -> bytes:
    """One word, case and blanks as they are; a single newline at the end does not count."""
    return text(data).removesuffix(b"\n")


def label(data: bytes, longest: int) -> bytes:
    """A name: EINVAL when empty or longer than `longest` bytes, white space around it removed."""
    words = text(data)
    if not words or len(words) > longest:
        raise refuse(errno.EINVAL)
    return words.strip(WHITE)


def mask(data: bytes, bits: int = 256) -> int:
    """A bit mask of comma-separated groups of up to 8 hexadecimal digits, highest first.

    Raises EOVERFLOW for a longer group or more groups than `bits` has room for, EINVAL else.
    """
    words = text(data).removesuffix(b"\n")
    value = 0
    groups = words.split(b",")
    if len(groups) > bits // 32:
        raise refuse(errno.EOVERFLOW)
    for group in groups:
        digits = group.strip(WHITE).lower()
        if any(d not in _DIGITS for d in digits):
            raise refuse(errno.EINVAL)
        if len(digits) > 8:
            raise refuse(errno.EOVERFLOW)
        if digits:  # an empty group does not count as one
            value = value << 32 | int(digits, 16)
    return value


def mask_text(value: int, bits: int = 256) -> str:
    """The same in the kernel's way to print it: eight digits a group."""
    count = bits // 32
    return ",".join(f"{value >> 32 * n & 0xFFFFFFFF:08x}" for n in reversed(range(count)))
