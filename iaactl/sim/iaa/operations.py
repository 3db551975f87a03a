"""What each operation does with its operands, between reading them and writing the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from iaactl.sim.iaa import aecs, deflate, filters, header, problem, zero
from iaactl.sim.iaa import request as r
from iaactl.sim.iaa.checksum import crc32, crc64, reverse_words, xor16
from iaactl.sim.iaa.index import IndexingInflater
from iaactl.sim.iaa.inflate import Inflater, Rules, Stop
from iaactl.sim.iaa.limits import WqLimits
from iaactl.sim.iaa.problem import AnalyticsProblem, Problem
from iaactl.sim.iaa.request import Request

# Compress flags.
_STATISTICS, _FLUSH, _LITERALS, _COMPRESS_BE = 1 << 0, 1 << 1, 1 << 4, 1 << 5
_COMPRESS_V1 = 0x1FF  # loading a dictionary (10, 11) is not modelled and refused
_HEADER, _HEADER_ON, _HEADER_TWO_PASSES, _HEADER_FINAL = 7 << 12, 2 << 12, 4 << 12, 1 << 12
_WRITE_TABLES = 1 << 1  # second flags word
_IAA_CAP_HEADER = 1 << 8
_ONE_PASS_BYTES = 4096
# Decompress flags.
_ENABLE, _STOP, _CHECK, _FINAL_ONLY = 1 << 0, 1 << 2, 1 << 3, 1 << 4
_DECOMPRESS_BE, _SUPPRESS = 1 << 5, 1 << 9
_DECOMPRESS_V1 = 0x1FFF
_INDEXING = 7 << 10
_IGNORE_EIGHT_BITS = 1 << 14  # version 2
# CRC64 flags.
_INVERT, _REFLECT = 1 << 14, 1 << 15


@dataclass
class Result:
    """What goes into the completion record, the destination, and the other copy of the AECS."""

    status: int = problem.SUCCESS
    error: int = 0
    consumed: int = 0
    output: bytes = b""
    output_bits: int = 0
    xor: int = 0
    crc: int = 0
    aggregates: tuple[int, int, int] = (0, 0, 0)
    aecs: bytes = field(default=b"", repr=False)


Reader = Callable[[], bytes]


def execute(request: Request, limits: WqLimits, source: Reader, second: Reader) -> Result:
    """Carry the operation out. `source` reads source 1, `second` the AECS or source 2.

    Raises Problem, AnalyticsProblem, or whatever the readers raise.
    """
    if request.opcode == r.COMPRESS:
        return _compress(request, limits, source, second)
    if request.opcode == r.DECOMPRESS:
        return _decompress(request, limits, source, second)
    if request.opcode == r.CRC64:
        return _crc64(request, source)
    if request.opcode in r.ZERO_COMPRESS or request.opcode in r.ZERO_DECOMPRESS:
        return _zero(request, source)
    if request.opcode in r.FILTERS:
        return _filter(request, limits, source, second)
    return Result()


def _check_compress(request: Request, limits: WqLimits) -> None:
    flags = request.operation_flags
    can_header = limits.iaa_cap & _IAA_CAP_HEADER
    generate = flags & _HEADER
    wrong = flags & ~(_COMPRESS_V1 | _HEADER if can_header else _COMPRESS_V1)
    if flags & _STATISTICS:
        wrong |= flags & (_COMPRESS_BE | 3 << 2) | generate
    if generate and not generate & _HEADER_ON:
        wrong |= generate
    tables = request.filter_flags
    if tables & ~_WRITE_TABLES or (tables and not (generate and request.write_source2)):
        wrong |= 1
    if generate & _HEADER_TWO_PASSES and tables != _WRITE_TABLES:
        wrong |= 1
    if wrong:
        raise Problem(problem.BAD_OPERATION_FLAGS)
    if generate and not generate & _HEADER_TWO_PASSES and request.source1_size > _ONE_PASS_BYTES:
        # One pass works on what fits the history.
        raise Problem(problem.BAD_SIZE)
    least = aecs.COMPRESS_STATE_BYTES if flags & _STATISTICS or generate else aecs.COMPRESS_BYTES
    if tables:
        least = aecs.COMPRESS_BYTES
    if request.read_source2 == r.AECS and request.source2_size < least:
        raise Problem(problem.BAD_SIZE)
    if request.write_source2:
        least = aecs.COMPRESS_BYTES if tables else aecs.COMPRESS_STATE_BYTES
        if request.source2_size < least:
            raise Problem(problem.BAD_SIZE)


def _compress(request: Request, limits: WqLimits, source: Reader, second: Reader) -> Result:
    _check_compress(request, limits)
    flags = request.operation_flags
    state = aecs.CompressState()
    if request.read_source2 == r.AECS:
        state = aecs.CompressState.parse(second())
    data = source()
    index = flags >> 6 & 7
    mini_block = 256 << index if index else 0
    literals = bool(flags & _LITERALS)
    result = Result(consumed=len(data))
    if flags & (_STATISTICS | _HEADER):
        ll, d = deflate.count(data, literals_only=literals, mini_block=mini_block)
    if flags & _HEADER:
        final = bool(flags & _HEADER_FINAL)
        state.ll, state.d, bits, valid = header.generate(ll, d, final=final)
        state.bits |= bits << state.bits_valid
        state.bits_valid += valid
    if flags & _HEADER_TWO_PASSES:
        # The first pass leaves tables and header; the second is a compression like any other.
        result.aecs = state.pack() + state.pack_tables()
        return result
    result.crc = crc32(data, state.crc, castagnoli=request.castagnoli)
    result.xor = xor16(data, state.xor)
    if flags & _STATISTICS:
        words = [*ll, 0, 0, *d, 0, 0]
        result.output = b"".join(count.to_bytes(4, "little") for count in words)
    else:
        encoded = deflate.encode(
            data,
            state.ll,
            state.d,
            state.bits,
            state.bits_valid,
            end=flags >> 2 & 3,
            literals_only=literals,
            mini_block=mini_block,
        )
        _put_encoded(result, state, encoded, flags, version_1=not limits.iaa_cap)
    if len(result.output) > request.max_destination:
        raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL)
    if request.write_source2:
        state.crc, state.xor = result.crc, result.xor
        result.aecs = state.pack()
        if request.filter_flags:
            result.aecs += state.pack_tables()
    return result


def _put_encoded(
    result: Result,
    state: aecs.CompressState,
    encoded: deflate.Encoded,
    flags: int,
    *,
    version_1: bool,
) -> None:
    """Whole bytes go out, in big-endian mode whole words; the rest too when flushing.

    Version 1 counts the end of big-endian output in bytes, so that of a word less than half full
    only the empty low byte is written; software appends eight bits so as not to lose any.
    """
    output, rest, rest_bits = encoded.data, encoded.rest, encoded.rest_bits
    unit = 2 if flags & _COMPRESS_BE else 1
    if len(output) % unit:
        rest = output[-1] | rest << 8
        rest_bits += 8
        output = output[:-1]
    if flags & _FLUSH:
        result.output_bits = rest_bits
        if rest_bits:
            output += rest.to_bytes(unit, "little")
        result.output = reverse_words(output) if flags & _COMPRESS_BE else output
        if version_1 and unit == 2:
            result.output_bits = rest_bits % 8
            if 0 < rest_bits <= 8:
                result.output = result.output[:-1]
        rest = rest_bits = 0
    else:
        result.output = reverse_words(output) if flags & _COMPRESS_BE else output
    state.bits, state.bits_valid = rest, rest_bits


def _decoder_flags(request: Request, limits: WqLimits) -> Rules:
    flags = request.operation_flags
    allowed = _DECOMPRESS_V1 | (_IGNORE_EIGHT_BITS if limits.iaa_cap else 0)
    if flags & ~allowed or not flags & _ENABLE:
        raise Problem(problem.BAD_OPERATION_FLAGS)
    if flags & _INDEXING and not flags & _SUPPRESS:
        # The entries take the place of the output.
        raise Problem(problem.BAD_OPERATION_FLAGS)
    return Rules(
        stop=bool(flags & _STOP),
        check=bool(flags & _CHECK),
        final_only=bool(flags & _FINAL_ONLY),
        ignore_end_bits=flags >> 6 & 7 | (8 if flags & _IGNORE_EIGHT_BITS else 0),
    )


def _aecs_in(request: Request, second: Reader) -> bytes:
    if request.write_source2 and request.source2_size < aecs.DECOMPRESS_BYTES_NO_HISTORY:
        raise Problem(problem.BAD_SIZE)
    if request.read_source2 != r.AECS:
        return bytes(aecs.FILTER_BYTES)
    if request.source2_size < aecs.FILTER_BYTES:
        raise Problem(problem.BAD_SIZE)
    return second()


def _decompress(request: Request, limits: WqLimits, source: Reader, second: Reader) -> Result:
    rules = _decoder_flags(request, limits)
    old = _aecs_in(request, second)
    filtering = aecs.FilterState.parse(old)
    state = aecs.parse_decompress(old)
    data = source()
    if request.operation_flags & _DECOMPRESS_BE:
        data = reverse_words(data)
    result = Result(crc=filtering.crc, xor=filtering.xor)
    pieces = _Checksums(result, request.castagnoli)
    mini_block = request.operation_flags >> 10 & 7
    decoder: Inflater
    if mini_block:
        decoder = indexing = IndexingInflater(state, data, rules, 256 << mini_block, pieces)
        stop = decoder.run()
        result.output = b"".join(entry.to_bytes(8, "little") for entry in indexing.entries)
        if len(result.output) > request.max_destination:
            raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL, consumed=decoder.consumed)
    elif request.operation_flags & _SUPPRESS:
        decoder = Inflater(state, data, rules, None, pieces.add)
        stop = decoder.run()
    else:
        decoder = Inflater(state, data, rules, request.max_destination)
        stop = decoder.run()
        result.output = decoder.output
        pieces.add(result.output)
    pieces.finish()
    result.consumed = min(decoder.consumed, request.source1_size)
    write = request.write_source2 == r.ALWAYS
    if stop is Stop.OUTPUT:
        if not request.write_source2:
            raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL, consumed=result.consumed)
        result.status = problem.OUTPUT_OVERFLOW
        write = True
    if write:
        new = replace(filtering, crc=result.crc, xor=result.xor)
        result.aecs = aecs.pack_decompress(state, request.source2_size, new)
        if state.literals is not None:
            result.aecs = aecs.carried_tables(old, result.aecs)
    return result


class _Checksums:
    """CRC and XOR over pieces; an odd byte waits for its word to be complete."""

    def __init__(self, result: Result, castagnoli: bool) -> None:
        self._result = result
        self._castagnoli = castagnoli
        self._odd = b""

    @property
    def crc(self) -> int:
        """CRC of all pieces."""
        return self._result.crc

    def add(self, piece: bytes) -> None:
        """Continue with a piece."""
        result = self._result
        result.crc = crc32(piece, result.crc, castagnoli=self._castagnoli)
        piece = self._odd + piece
        self._odd = piece[len(piece) // 2 * 2 :]
        result.xor = xor16(piece[: len(piece) // 2 * 2], result.xor)

    def finish(self) -> None:
        self._result.xor = xor16(self._odd, self._result.xor)


def _crc64(request: Request, source: Reader) -> Result:
    flags = request.operation_flags
    if flags & ~(_INVERT | _REFLECT):
        raise Problem(problem.BAD_OPERATION_FLAGS)
    data = source()
    value = crc64(
        data,
        request.polynomial,
        invert=bool(flags & _INVERT),
        reflect=bool(flags & _REFLECT),
    )
    return Result(consumed=len(data), aggregates=(0, value & 0xFFFFFFFF, value >> 32))


def _zero(request: Request, source: Reader) -> Result:
    if request.operation_flags:
        raise Problem(problem.BAD_OPERATION_FLAGS)
    data = source()
    if request.opcode in r.ZERO_COMPRESS:
        plain = data
        output = zero.compress(data, r.ZERO_COMPRESS[request.opcode])
    else:
        word = r.ZERO_DECOMPRESS[request.opcode]
        output = plain = zero.decompress(data, word, request.max_destination)
    if len(output) > request.max_destination:
        raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL)
    return Result(
        consumed=len(data),
        output=output,
        xor=xor16(plain, 0),
        crc=crc32(plain, 0, castagnoli=request.castagnoli),
    )


def _filter(request: Request, limits: WqLimits, source: Reader, second: Reader) -> Result:
    flags = filters.Flags.parse(request.filter_flags, limits.iaa_cap)
    filters.check(request.opcode, flags, request.elements)
    rules = _decoder_flags(request, limits) if request.operation_flags else None
    if request.operation_flags & _SUPPRESS or request.write_source2:
        raise Problem(problem.BAD_OPERATION_FLAGS)
    limit_state, second_input = aecs.FilterState(), b""
    state = aecs.parse_decompress(b"")
    if request.opcode in filters.USES_SOURCE2:
        second_input = second()
    elif request.read_source2:
        old = _aecs_in(request, second)
        limit_state = aecs.FilterState.parse(old)
        if rules:
            state = aecs.parse_decompress(old)
    data = decoded = source()
    consumed = len(data)
    if rules:
        if request.operation_flags & _DECOMPRESS_BE:
            data = reverse_words(data)
        drop = limit_state.drop_bytes
        wanted = filters.wanted_bytes(flags, request.elements)
        decoder = Inflater(state, data, rules, None if wanted is None else wanted + drop)
        decoder.run()
        decoded = decoder.output
        data = decoded[drop:]
        consumed = min(decoder.consumed, request.source1_size)
    output, bits, aggregates = filters.run(
        filters.Request(
            request.opcode,
            flags,
            request.elements,
            data,
            second_input,
            limit_state,
            rules is not None,
        ),
        request.max_destination,
    )
    return Result(
        consumed=consumed,
        output=output,
        output_bits=bits,
        # Over all that was decoded, with what is dropped before the filter.
        xor=xor16(decoded, limit_state.xor),
        crc=crc32(decoded, limit_state.crc, castagnoli=request.castagnoli),
        aggregates=(aggregates.low, aggregates.high, aggregates.total),
    )
