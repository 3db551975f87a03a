"""Compress and decompress of the simulated engine, judged by zlib in both directions."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.accelerator import DESTINATION, SOURCE, SOURCE2, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import COMPRESS_AECS_BYTES, CompressAecs, Histogram
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.iaa.huffman import NO_BITS, Bits, fixed_codes, reversed_code
from iaactl.sim.iaa import WqLimits

AECS = (SOURCE2, COMPRESS_AECS_BYTES)
ROOM = 1 << 16
TEXT = b"it was the best of times, it was the worst of times, " * 60
# Data with repetitions, runs and noise.
DATA = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=60),
        st.builds(lambda byte, n: byte * n, st.binary(min_size=1, max_size=3), st.integers(1, 400)),
    ),
    min_size=1,
    max_size=12,
).map(lambda pieces: b"".join(pieces + pieces[:4])[:20000])


def squeeze(
    data: bytes,
    aecs: CompressAecs,
    *,
    end: d.CompressFlags = d.CompressFlags.END_EOB,
    extra: int = 0,
    room: int = ROOM,
) -> tuple[CompletionRecord, bytes]:
    """Compress on the engine."""
    work = d.compress(0, (0, 0), (DESTINATION, room), AECS, end=end)
    work = replace(work, operation_flags=work.operation_flags | extra)
    return Accelerator().run(work, data, aecs.pack(), room)


def expand(
    stream: bytes, options: int = d.WHOLE_STREAM, room: int = ROOM
) -> tuple[CompletionRecord, bytes]:
    """Decompress on the engine."""
    work = d.decompress(0, (0, 0), (DESTINATION, room))
    return Accelerator().run(replace(work, operation_flags=options), stream, room=room)


def raw(data: bytes, level: int = 6, strategy: int = 0) -> bytes:
    """zlib's raw stream with a 4 KiB window."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -12, 9, strategy)
    return packer.compress(data) + packer.flush()


def histogram(data: bytes, extra: int = 0) -> Histogram:
    """Statistics from the engine."""
    work = d.statistics(0, (0, 0), (DESTINATION, 1280))
    work = replace(work, operation_flags=work.operation_flags | extra)
    record, output = Accelerator().run(work, data)
    assert record.ok
    return Histogram.parse(output)


@given(DATA)
@settings(deadline=None)
def test_fixed_block_inflates(data: bytes) -> None:
    record, output = squeeze(data, CompressAecs.fixed())
    assert record.ok
    assert zlib.decompress(output, -12) == data
    assert record.bytes_completed == len(data)
    assert record.crc == zlib.crc32(data)


@given(DATA)
@settings(deadline=None)
def test_dynamic_block_inflates_and_is_made_for_the_data(data: bytes) -> None:
    aecs = CompressAecs.dynamic(histogram(data))
    record, output = squeeze(data, aecs)
    assert record.ok
    assert zlib.decompress(output, -12) == data
    assert expand(output)[1] == data


@given(DATA, st.sampled_from([0, 1, 6, 9]), st.sampled_from([0, 2, 4]))
@settings(deadline=None)
def test_zlib_streams_decompress(data: bytes, level: int, strategy: int) -> None:
    stream = raw(data, level, strategy)
    record, output = expand(stream + b"tail")
    assert record.ok
    assert output == data
    assert record.bytes_completed == len(stream)


def test_text_shrinks() -> None:
    assert len(squeeze(TEXT, CompressAecs.fixed())[1]) < len(TEXT) // 10


def test_statistics_count_the_end_of_block_once() -> None:
    counts = histogram(b"abcabcabcabc")
    assert counts.ll[256] == 1
    assert [counts.ll[byte] for byte in b"abc"] == [1, 1, 1]
    assert counts.ll[257 + 6] == 1  # length 9
    assert counts.d[2] == 1  # distance 3
    assert sum(counts.ll) == 5


def test_literals_only() -> None:
    flag = d.CompressFlags.LITERALS_ONLY
    counts = histogram(TEXT, flag)
    assert not any(counts.d)
    assert counts.ll[ord("t")] == TEXT.count(b"t")
    record, output = squeeze(TEXT, CompressAecs.fixed(), extra=flag)
    assert record.ok
    assert zlib.decompress(output, -12) == TEXT
    assert len(output) > 0.9 * len(TEXT)


def test_stored_blocks_at_the_end() -> None:
    start = CompressAecs.fixed(final=False)
    _, open_ = squeeze(b"abc", start, end=d.CompressFlags.END_EOB_STORED)
    assert open_.endswith(b"\x00\x00\xff\xff")
    unpacker = zlib.decompressobj(-12)
    assert unpacker.decompress(open_) == b"abc"
    assert not unpacker.eof
    _, closed = squeeze(b"abc", start, end=d.CompressFlags.END_EOB_FINAL_STORED)
    unpacker = zlib.decompressobj(-12)
    assert unpacker.decompress(open_ + closed) == b"abcabc"
    assert unpacker.eof


def test_no_end_of_block_and_bits_of_the_last_byte() -> None:
    aecs = CompressAecs(NO_BITS, *fixed_codes())
    work = d.compress(0, (0, 0), (DESTINATION, 64), AECS)
    work = replace(work, operation_flags=d.CompressFlags.FLUSH)
    record, output = Accelerator().run(work, b"\xff", aecs.pack())
    assert (record.output_size, record.output_bits) == (2, 1)  # one literal of nine bits
    assert output == b"\xff\x01"
    record, _ = Accelerator().run(work, bytes(range(0xF0, 0xF8)), aecs.pack())
    assert (record.output_size, record.output_bits) == (9, 0)  # eight such literals fill bytes


def test_big_endian_words() -> None:
    ll, codes = fixed_codes()
    aecs = CompressAecs(NO_BITS, ll, codes)
    work = d.compress(0, (0, 0), (DESTINATION, 64), AECS, literals_only=True)
    flags = d.CompressFlags.FLUSH | d.CompressFlags.BIG_ENDIAN | d.CompressFlags.LITERALS_ONLY
    work = replace(work, operation_flags=flags)
    version_2 = Accelerator(WqLimits(iaa_cap=0x1F7))
    for data in (b"\x01\x02\xff", b"\x01\x02", b"\x01", b"\x01\xff"):
        bits = "".join(f"{ll[byte].value:0{ll[byte].length}b}" for byte in data)
        number = len(bits)
        bits += "0" * (-len(bits) % 16)
        expected = b"".join(
            int(bits[n : n + 16], 2).to_bytes(2, "little") for n in range(0, len(bits), 16)
        )
        record, output = version_2.run(work, data, aecs.pack())
        assert (output, record.output_bits) == (expected, number % 16)
        # Version 1 counts bytes, and the first bits of a word are in its second byte.
        record, output = Accelerator().run(work, data, aecs.pack())
        assert record.output_size == (number + 7) // 8
        assert (output, record.output_bits) == (expected[: (number + 7) // 8], number % 8)


def test_codes_that_are_missing() -> None:
    record, output = squeeze(b"abc", CompressAecs.literals(histogram(b"ab", 16)))
    assert (record.status, record.error) == (Status.ANALYTICS_ERROR, 30)
    assert output == b""


def test_compress_overflow() -> None:
    data = random.Random(1).randbytes(4096)
    record, _ = squeeze(data, CompressAecs.fixed(), room=4095)
    assert (record.status, record.error) == (0x0A, 0x19)
    work = d.statistics(0, (0, 0), (DESTINATION, 1279))
    record, _ = Accelerator().run(work, data)
    assert (record.status, record.error) == (0x0A, 0x19)


def test_mini_blocks_stand_alone() -> None:
    flags = 1 << 6  # 512 bytes
    assert histogram(b"x" * 1024).ll[ord("x")] == 1
    assert histogram(b"x" * 1024, flags).ll[ord("x")] == 2


def test_compress_in_two_jobs() -> None:
    """The AECS of the first job, which flushes nothing, begins the second."""
    first, second = b"hello hello ", b"again and again"
    accelerator = Accelerator()
    accelerator.prepare(first + second, CompressAecs.fixed().pack() * 2)
    work = d.compress(0x400000000, (SOURCE, len(first)), (DESTINATION, 100), AECS)
    flags = work.flags | d.Flags.WRITE_AECS
    one = accelerator.submit(replace(work, flags=flags, operation_flags=0))
    assert one.ok
    two = accelerator.submit(
        replace(
            work,
            flags=work.flags | d.Flags.AECS_TOGGLE,
            source1=SOURCE + len(first),
            source1_size=len(second),
            destination=DESTINATION + one.output_size,
        )
    )
    assert two.ok
    output = accelerator.memory.read(DESTINATION, one.output_size + two.output_size)
    assert zlib.decompress(output, -12) == first + second
    assert two.crc == zlib.crc32(first + second)


@given(DATA, st.integers(20, 3000), st.integers(300, 5000), st.sampled_from([0, 1, 6]))
@settings(deadline=None, max_examples=50)
def test_decompress_in_any_number_of_jobs(
    data: bytes, input_bytes: int, room: int, level: int
) -> None:
    """State goes from job to job through the AECS in memory only."""
    stream = raw(data, level)
    accelerator = Accelerator()
    accelerator.prepare(stream, bytes(2 * 5376))
    output = b""
    done = jobs = 0
    flags = int(d.POLLED | d.Flags.WRITE_AECS)
    options = d.WHOLE_STREAM & ~d.DecompressFlags.CHECK_FOR_EOB
    while True:
        record = accelerator.submit(
            d.Descriptor(
                0x42,
                flags,
                0x400000000,
                SOURCE + done,
                DESTINATION,
                min(input_bytes, len(stream) - done),
                operation_flags=options,
                source2=SOURCE2,
                max_destination_size=room,
                source2_size=5376,
            )
        )
        assert record.code in (Status.SUCCESS, Status.OUTPUT_OVERFLOW), record.explain()
        output += accelerator.memory.read(DESTINATION, record.output_size)
        done += record.bytes_completed
        jobs += 1
        flags = int(d.POLLED | d.Flags.WRITE_AECS | d.Flags.READ_AECS)
        if jobs % 2:
            flags |= d.Flags.AECS_TOGGLE
        if record.ok and done == len(stream):
            break
    assert output == data
    assert record.crc == zlib.crc32(data)


def test_decompress_byte_by_byte() -> None:
    """As above, at the smallest: one byte of input, one of output."""
    accelerator = Accelerator()
    data = b"to be or not to be, to be or not"
    for level in (0, 6):
        stream = raw(data, level)
        accelerator.prepare(stream, bytes(2 * 5376))
        output, done, flags = b"", 0, int(d.POLLED | d.Flags.WRITE_AECS)
        while len(output) < len(data):
            work = d.decompress(0x400000000, (SOURCE + done, 1), (DESTINATION, 1))
            work = replace(work, flags=flags, source2=SOURCE2, source2_size=5376)
            options = d.WHOLE_STREAM & ~d.DecompressFlags.CHECK_FOR_EOB
            record = accelerator.submit(replace(work, operation_flags=options))
            assert record.code in (Status.SUCCESS, Status.OUTPUT_OVERFLOW), record.explain()
            output += accelerator.memory.read(DESTINATION, record.output_size)
            done += record.bytes_completed
            flags = (flags | d.Flags.READ_AECS) ^ d.Flags.AECS_TOGGLE
        assert output == data


def test_output_overflow() -> None:
    stream = raw(TEXT)
    record, _ = expand(stream, room=100)
    assert (record.status, record.error) == (0x0A, 25)  # nothing was kept to go on from
    work = d.decompress(0, (0, 0), (DESTINATION, 100))
    work = replace(
        work,
        flags=work.flags | d.Flags.WRITE_AECS_ON_OVERFLOW,
        source2=SOURCE2,
        source2_size=5376,
    )
    record, output = Accelerator().run(work, stream, bytes(2 * 5376))
    assert record.status == Status.OUTPUT_OVERFLOW
    assert output == TEXT[:100]
    assert record.bytes_completed < len(stream)


def test_exact_room_is_no_overflow() -> None:
    for level in (0, 1, 6):
        assert expand(raw(TEXT, level), room=len(TEXT))[0].ok


def test_suppressed_output_still_has_checksums() -> None:
    stream = raw(TEXT * 700)
    record, output = expand(stream, d.WHOLE_STREAM | d.DecompressFlags.SUPPRESS_OUTPUT)
    assert record.ok
    assert output == b""
    assert record.crc == zlib.crc32(TEXT * 700)


def test_stop_and_check() -> None:
    first = squeeze(b"one", CompressAecs.fixed(final=False))[1]
    rest = raw(b"two")
    options = d.DecompressFlags
    go_on = options.ENABLE | options.FLUSH
    stop = expand(first, go_on | options.STOP_ON_EOB)
    assert stop == (stop[0], b"one")
    assert stop[0].ok
    # The end of a block that is not the last does not count when only the last one does.
    record, _ = expand(first, d.WHOLE_STREAM)
    assert (record.status, record.error) == (0x0A, AnalyticsError.EOB_MISSING)
    record, _ = expand(first, go_on | options.CHECK_FOR_EOB)
    assert record.ok
    record, _ = expand(rest[:-1], go_on | options.CHECK_FOR_EOB)
    assert record.error == AnalyticsError.EOB_MISSING
    record, output = expand(rest[:-1], go_on)
    assert record.ok
    assert b"two".startswith(output)


def test_ignored_end_bits() -> None:
    aecs = CompressAecs(NO_BITS, *fixed_codes())
    work = d.compress(0, (0, 0), (DESTINATION, 64), AECS)
    flags = d.CompressFlags.FLUSH | d.CompressFlags.LITERALS_ONLY
    header = CompressAecs(Bits(2, 3), *fixed_codes())
    record, stream = Accelerator().run(replace(work, operation_flags=flags), b"abcd", header.pack())
    assert aecs.header.count == 0
    ignored = (8 - record.output_bits) % 8
    assert ignored == 5
    options = d.DecompressFlags.ENABLE | ignored << 6
    assert expand(stream, options)[1] == b"abcd"
    # Without it the five zero bits are a start of the next code, which is not complete.
    assert expand(stream, d.DecompressFlags.ENABLE)[0].ok


def bits_of(*fields: tuple[int, int]) -> bytes:
    """A stream from (value, width) pairs."""
    bits = NO_BITS
    for value, width in fields:
        bits += Bits(value, width)
    return bits.value.to_bytes((bits.count + 7) // 8, "little") + bytes(8)


def fixed(*symbols: int, then: tuple[tuple[int, int], ...] = ()) -> bytes:
    """A fixed block of literal/length symbols, then further fields."""
    ll = [*fixed_codes()[0]]
    bits = Bits(3, 3)
    for symbol in symbols:
        bits += reversed_code(ll[symbol])
    for value, width in then:
        bits += Bits(value, width)
    return bits.value.to_bytes((bits.count + 7) // 8, "little") + bytes(8)


DYNAMIC = ((5, 3),)
# Code-length codes: the order begins 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1.
BAD_STREAMS = [
    (AnalyticsError.BLOCK_TYPE, bits_of((7, 3))),
    (AnalyticsError.STORED_LENGTH, bits_of((1, 8), (5, 16), (5, 16))),
    (AnalyticsError.TOO_MANY_LL_CODES, bits_of(*DYNAMIC, (30, 5), (0, 5), (0, 4))),
    (AnalyticsError.TOO_MANY_D_CODES, bits_of(*DYNAMIC, (0, 5), (30, 5), (0, 4))),
    # Three code-length codes of one bit.
    (
        AnalyticsError.BAD_CL_LENGTHS,
        bits_of(*DYNAMIC, (0, 5), (0, 5), (0, 4), (1, 3), (1, 3), (1, 3), (0, 3)),
    ),
    # One code-length code, 0 with one bit; the stream has the other bit.
    (
        AnalyticsError.UNDEFINED_CL_CODE,
        bits_of(*DYNAMIC, (0, 5), (0, 5), (0, 4), (0, 9), (1, 3), (1, 1)),
    ),
    # Codes 16 (bit 0) and 0 (bit 1)... in canonical order 0 comes first, so 16 is bit 1.
    (
        AnalyticsError.FIRST_LL_IS_REPEAT,
        bits_of(*DYNAMIC, (0, 5), (0, 5), (0, 4), (1, 3), (0, 6), (1, 3), (1, 1), (0, 2)),
    ),
    # 18 has one bit; 138 + 119 zeros are all 257 literal/length codes.
    (
        AnalyticsError.NO_LL_CODE,
        bits_of(
            *DYNAMIC,
            (0, 5),
            (0, 5),
            (0, 4),
            (0, 6),
            (1, 3),
            (0, 3),
            (0, 1),
            (127, 7),
            (0, 1),
            (108, 7),
        ),
    ),
    # The same with 138 + 138 zeros.
    (
        AnalyticsError.WRONG_NUMBER_OF_LL_CODES,
        bits_of(
            *DYNAMIC,
            (0, 5),
            (0, 5),
            (0, 4),
            (0, 6),
            (1, 3),
            (0, 3),
            (0, 1),
            (127, 7),
            (0, 1),
            (127, 7),
        ),
    ),
    # Code lengths 1 for everything: 0 and 1 are the two codes, 1 is bit 1.
    (
        AnalyticsError.BAD_LL_LENGTHS,
        bits_of(
            *DYNAMIC,
            (0, 5),
            (0, 5),
            (14, 4),
            (0, 9),
            (1, 3),
            (0, 39),
            (1, 3),
            ((1 << 258) - 1, 258),
        ),
    ),
    # Two length codes of one bit, three distance codes of one bit.
    (
        AnalyticsError.BAD_D_LENGTHS,
        bits_of(
            *DYNAMIC,
            (0, 5),
            (2, 5),
            (14, 4),
            (0, 9),
            (1, 3),
            (0, 39),
            (1, 3),
            (1 | 1 << 256 | 7 << 257, 260),
        ),
    ),
    # Literal 0 alone has a code, of one bit; the stream has the other bit.
    (
        AnalyticsError.BAD_LL_CODE,
        bits_of(
            *DYNAMIC, (0, 5), (0, 5), (14, 4), (0, 9), (1, 3), (0, 39), (1, 3), (1, 258), (1, 1)
        ),
    ),
    (AnalyticsError.BAD_D_CODE, fixed(65, 257, then=((int(f"{30:05b}"[::-1], 2), 5),))),
    (AnalyticsError.BAD_LL_CODE, bits_of((3, 3), (int(f"{0b11000110:08b}"[::-1], 2), 8))),
    (AnalyticsError.REFERENCE_BEFORE_START, fixed(65, 257, then=((0b10000, 5),))),
]


@pytest.mark.parametrize(
    ("error", "stream"), BAD_STREAMS, ids=lambda value: getattr(value, "name", "")
)
def test_bad_streams(error: AnalyticsError, stream: bytes) -> None:
    record, _ = expand(stream)
    assert (record.status, record.error) == (Status.ANALYTICS_ERROR, error)
    # Except where RFC 1951 is silent, zlib refuses the same stream.
    with pytest.raises(zlib.error):
        zlib.decompress(stream, -12)


# Dynamic headers with 260 literal/length and 4 distance codes, all of two bits, none below 256.
# Code-length codes of two bits: 0 is 00, 2 is 01, 16 is 10, 18 is 11.
CL_CODES = ((12, 4), (2, 3), (0, 3), (2, 3), (2, 3), (0, 33), (2, 3))
BORDER = (*DYNAMIC, (3, 5), (3, 5), *CL_CODES, (3, 2), (127, 7), (3, 2), (107, 7))
TWO = (2, 2)


def again(count: int) -> tuple[tuple[int, int], ...]:
    """The length before, 3 to 6 times more."""
    return (1, 2), (count - 3, 2)


@pytest.mark.parametrize(
    ("lengths", "error"),
    [
        ((TWO, *again(3), TWO, *again(3)), AnalyticsError.NONE),
        ((TWO, *again(6), TWO), AnalyticsError.WRONG_NUMBER_OF_LL_CODES),
        ((TWO, *again(3), *again(4)), AnalyticsError.FIRST_D_IS_REPEAT),
    ],
)
def test_repetitions_do_not_cross_from_lengths_to_distances(
    lengths: tuple[tuple[int, int], ...], error: AnalyticsError
) -> None:
    """Where the device is stricter than RFC 1951: zlib takes all of these."""
    stream = bits_of(*BORDER, *lengths, (0, 2))
    assert zlib.decompress(stream, -12) == b""
    record, _ = expand(stream)
    assert record.ok is not bool(error)
    assert record.error == error


def test_too_many_distance_lengths() -> None:
    stream = bits_of(*BORDER, TWO, *again(3), TWO, *again(5), (0, 2))
    with pytest.raises(zlib.error):
        zlib.decompress(stream, -12)
    record, _ = expand(stream)
    assert record.error == AnalyticsError.WRONG_NUMBER_OF_D_CODES


def test_a_distance_code_that_is_not_defined() -> None:
    # Lengths: literal 0 and 257 have codes of one bit, no distance code.
    stream = bits_of(
        *DYNAMIC,
        (1, 5),
        (0, 5),
        (14, 4),
        (0, 9),
        (1, 3),
        (0, 39),
        (1, 3),
        (1 | 1 << 257, 259),
        (0, 1),
        (1, 1),
    )
    record, _ = expand(stream)
    assert record.error == AnalyticsError.BAD_D_CODE


def test_a_match_beyond_four_kibibytes() -> None:
    data = random.Random(2).randbytes(5000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(data + data[:200]) + packer.flush()
    record, _ = expand(stream)
    assert (record.status, record.error) == (0x0A, AnalyticsError.MATCH_DISTANCE)


def test_a_header_too_big_to_be_kept() -> None:
    # Every length written out with seven bits: 286 + 30 of them are more than 2048 bits.
    cl = [(7, 3)] * 19
    stream = bits_of(*DYNAMIC, (29, 5), (29, 5), (15, 4), *cl)
    lengths = [(64, 7)] + [(0, 7)] * 299  # one code of one bit, then none
    stream = bits_of(*DYNAMIC, (29, 5), (29, 5), (15, 4), *cl, *lengths)[:-8]
    record, _ = expand(stream, d.DecompressFlags.ENABLE)
    assert (record.status, record.error) == (0x0A, AnalyticsError.HEADER_TOO_BIG)


def test_huffman_only_tables_in_the_aecs() -> None:
    """Tables as software packs them: canonical codes by length, symbols in order of code."""
    aecs = bytearray(5376)
    # Codes: 'a' 0, 'b' 10, 'c' 11.
    struct.pack_into("<I", aecs, 480, 0 | 1 << 2)  # first index of lengths 1 and 2
    struct.pack_into("<I", aecs, 500, 1 | 2 << 2)  # number of codes
    struct.pack_into("<I", aecs, 520, 0 | 2 << 2)  # first code
    aecs[808:811] = b"abc"
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    options = d.DecompressFlags.ENABLE | d.DecompressFlags.FLUSH | 3 << 6
    work = replace(
        work,
        flags=work.flags | d.Flags.READ_AECS,
        source2=SOURCE2,
        source2_size=5376,
        operation_flags=options,
    )
    record, output = Accelerator().run(work, bytes([0b11010]), bytes(aecs))
    assert record.ok
    assert output == b"abc"
    aecs[477] = 1
    record, _ = Accelerator().run(work, b"\0", bytes(aecs))
    assert record.error == AnalyticsError.AECS


def test_a_page_takes_milliseconds() -> None:
    page = (TEXT * 2)[:2048] + random.Random(3).randbytes(2048)
    start = process_time()
    for _ in range(10):
        _, stream = squeeze(page, CompressAecs.fixed())
        expand(stream)
    assert process_time() - start < 1


def test_matches_stay_within_the_window() -> None:
    block = random.Random(4).randbytes(4096)
    for matched in (False, True):
        data = block + block[matched:2000]  # distance 4096, or one less
        record, output = squeeze(data, CompressAecs.fixed())
        assert record.ok
        # zlib with a window of 4096 refuses longer distances.
        assert zlib.decompress(output, -12) == data
        assert (len(output) < 4096 * 1.1) is matched


@given(DATA)
def test_checksums_of_both_directions_agree(data: bytes) -> None:
    packed, stream = squeeze(data, CompressAecs.fixed())
    unpacked, _ = expand(stream)
    counted, _ = Accelerator().run(d.statistics(0, (0, 0), (DESTINATION, 1280)), data)
    words = [int.from_bytes(data[n : n + 2], "little") for n in range(0, len(data), 2)]
    expected = 0
    for word in words:
        expected ^= word
    assert packed.xor == unpacked.xor == counted.xor == expected
    assert packed.crc == unpacked.crc == counted.crc == zlib.crc32(data)


BAD_AECS = [
    (440, b"\x41"),  # 65 valid bits in a quad word
    (1076, b"\x11"),  # a state that does not exist
    (1252, b"\x01\x10"),  # history pointer 4097
    (1076, b"\x02\x00\x00\x00\x00\x00\x01\x00"),  # 65536 bytes left of a stored block
    (1084, b"\x05\x00\x01\x00"),  # a match into a history that is empty
    (500, b"\x03"),  # three codes of one bit
]


@pytest.mark.parametrize(("offset", "value"), BAD_AECS)
def test_an_aecs_with_impossible_values(offset: int, value: bytes) -> None:
    aecs = bytearray(5376)
    aecs[offset : offset + len(value)] = value
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    flags = work.flags | d.Flags.READ_AECS
    work = replace(work, flags=flags, source2=SOURCE2, source2_size=5376)
    record, _ = Accelerator().run(work, b"abc", bytes(aecs))
    assert (record.status, record.error) == (Status.ANALYTICS_ERROR, AnalyticsError.AECS)


def test_a_compress_aecs_with_too_many_bits() -> None:
    aecs = bytearray(CompressAecs.fixed().pack())
    struct.pack_into("<I", aecs, 28, 2049)
    work = d.compress(0, (0, 0), (DESTINATION, 64), AECS)
    record, _ = Accelerator().run(work, b"abc", bytes(aecs))
    assert record.error == AnalyticsError.AECS


@pytest.mark.parametrize("state", [8, 8 | 4])
def test_a_stream_that_has_ended_takes_no_more(state: int) -> None:
    aecs = bytearray(5376)
    aecs[1076] = state
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    flags = work.flags | d.Flags.READ_AECS
    work = replace(work, flags=flags, source2=SOURCE2, source2_size=5376)
    record, output = Accelerator().run(work, b"abc", bytes(aecs))
    assert record.ok
    assert (record.bytes_completed, output) == (0, b"")


@pytest.mark.parametrize("overflowed", [False, True])
def test_history_from_the_aecs(overflowed: bool) -> None:
    """A stream may begin with a match into the history, a ring that wraps when it overflowed."""
    aecs = bytearray(5376)
    aecs[1076] = 1  # at a block header
    past = b"in the past"
    packer = zlib.compressobj(9, zlib.DEFLATED, -12, 9, 0, past)
    stream = packer.compress(past + b"!") + packer.flush()
    if overflowed:
        aecs[1256 : 1256 + 4] = past[-4:]
        aecs[1256 + 4096 - 7 : 1256 + 4096] = past[:7]
        struct.pack_into("<H", aecs, 1252, 4 | 1 << 15)
    else:
        aecs[1256 : 1256 + len(past)] = past
        struct.pack_into("<H", aecs, 1252, len(past))
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    flags = work.flags | d.Flags.READ_AECS
    work = replace(work, flags=flags, source2=SOURCE2, source2_size=5376)
    record, output = Accelerator().run(work, stream, bytes(aecs))
    assert record.ok, record.explain()
    assert output == past + b"!"
    assert expand(stream)[0].error == AnalyticsError.REFERENCE_BEFORE_START
