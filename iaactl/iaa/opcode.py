"""Operations of the accelerator: numbers, names, and one sentence on what each does."""

from __future__ import annotations

from enum import IntEnum


class Opcode(IntEnum):
    """Operation codes, byte 7 of a descriptor and bit numbers of `op_cap`."""

    NOOP = 0x00
    DRAIN = 0x02
    MEMMOVE = 0x03
    TRANSLATION_FETCH = 0x0A
    DECRYPT = 0x40
    ENCRYPT = 0x41
    DECOMPRESS = 0x42
    COMPRESS = 0x43
    CRC64 = 0x44
    ZERO_DECOMPRESS_32 = 0x48
    ZERO_DECOMPRESS_16 = 0x49
    ZERO_DECOMPRESS_8 = 0x4A
    ZERO_COMPRESS_32 = 0x4C
    ZERO_COMPRESS_16 = 0x4D
    ZERO_COMPRESS_8 = 0x4E
    SCAN = 0x50
    SET_MEMBERSHIP = 0x51
    EXTRACT = 0x52
    SELECT = 0x53
    RLE_BURST = 0x54
    FIND_UNIQUE = 0x55
    EXPAND = 0x56

    @property
    def title(self) -> str:
        """The name in lower case with dashes, `zero-compress-16`."""
        return self.name.lower().replace("_", "-")

    @property
    def sentence(self) -> str:
        """What the operation does."""
        return _SENTENCES[self]


_SENTENCES = {
    Opcode.NOOP: "Does nothing and completes.",
    Opcode.DRAIN: "Completes when every earlier descriptor of the work queue has completed.",
    Opcode.MEMMOVE: "Copies memory.",
    Opcode.TRANSLATION_FETCH: "Loads address translations without touching the data.",
    Opcode.DECRYPT: "Decrypts a buffer.",
    Opcode.ENCRYPT: "Encrypts a buffer.",
    Opcode.DECOMPRESS: "Decompresses a DEFLATE stream.",
    Opcode.COMPRESS: "Compresses into a DEFLATE stream, or counts its symbols.",
    Opcode.CRC64: "Computes a CRC of up to 64 bits with any polynomial.",
    Opcode.ZERO_DECOMPRESS_32: "Puts zero 32-bit words back in.",
    Opcode.ZERO_DECOMPRESS_16: "Puts zero 16-bit words back in.",
    Opcode.ZERO_DECOMPRESS_8: "Puts zero bytes back in.",
    Opcode.ZERO_COMPRESS_32: "Leaves zero 32-bit words out.",
    Opcode.ZERO_COMPRESS_16: "Leaves zero 16-bit words out.",
    Opcode.ZERO_COMPRESS_8: "Leaves zero bytes out.",
    Opcode.SCAN: "Marks the elements within a range.",
    Opcode.SET_MEMBERSHIP: "Marks the elements that belong to a set.",
    Opcode.EXTRACT: "Takes the elements from one index to another.",
    Opcode.SELECT: "Takes the elements that a bit vector marks.",
    Opcode.RLE_BURST: "Repeats each element by its count.",
    Opcode.FIND_UNIQUE: "Finds which values occur.",
    Opcode.EXPAND: "Spreads elements over the ones of a bit vector, zeros between.",
}
