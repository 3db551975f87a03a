"""How the kernel reads the text of an attribute: numbers, booleans, words, masks.

All functions take the exact bytes of one write. Text ends at the first NUL.
"""

from __future__ import annotations

import errno

from iaactl.sim.kernfs import refuse

_ACTIONS = ("add", "remove", "change", "move", "online", "offline", "bind", "unbind")
_TRUE, _FALSE = b"yYtTeE1", b"nNfFdD0"
_DIGITS = b"0123456789abcdef"
_HEX = frozenset(bytes((digit,)) for digit in _DIGITS)
# The kernel's table of characters is Latin-1: the no-break space counts as white space.
WHITE = b" \t\n\r\v\f\xa0"


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
    valid = _DIGITS[:base]
    length = next((n for n, digit in enumerate(digits) if digit not in valid), len(digits))
    if length and int(digits[:length], base) >> 64:
        raise refuse(errno.ERANGE)  # found before anybody looks at what follows
    if not length or length < len(digits):
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


def action(data: bytes) -> str:
    """What a write to a `uevent` file orders: EINVAL unless it begins with a known action."""
    found = word(data).decode("latin-1").partition(" ")[0]
    if found not in _ACTIONS:
        raise refuse(errno.EINVAL)
    return found


def label(data: bytes, longest: int) -> bytes:
    """A name: EINVAL when empty or longer than `longest` bytes, white space around it removed."""
    words = text(data)
    if not words or len(words) > longest:
        raise refuse(errno.EINVAL)
    return words.strip(WHITE)


def mask(data: bytes, bits: int = 256) -> int:
    """A bit mask of groups of up to 8 hexadecimal digits, highest first, up to the first newline.

    Groups are separated by commas and white space, any number of them, and are read from the
    last to the first. Raises EOVERFLOW for a group of more than 8 digits or for more groups than
    `bits` has room for, EINVAL else. After 8 digits one character that is not a digit is
    swallowed, whatever it is.
    """
    words = text(data).split(b"\n", 1)[0]
    separators = WHITE + b","
    value, groups = 0, 0
    while words := words.rstrip(separators):
        if groups == bits // 32:
            raise refuse(errno.EOVERFLOW)
        start = len(words)
        while start > max(0, len(words) - 8) and words[start - 1] not in separators:
            start -= 1
            if words[start : start + 1].lower() not in _HEX:
                raise refuse(errno.EINVAL)
        value |= int(words[start:], 16) << 32 * groups
        groups += 1
        if len(words) - start == 8 and start and words[start - 1] not in separators:
            if words[start - 1 : start].lower() in _HEX:
                raise refuse(errno.EOVERFLOW)
            start -= 1
        words = words[:start]
    return value


def mask_text(value: int, bits: int = 256) -> str:
    """The same in the kernel's way to print it: eight digits a group."""
    count = bits // 32
    return ",".join(f"{value >> 32 * n & 0xFFFFFFFF:08x}" for n in reversed(range(count)))
