"""Memory as the engine reaches it: a protocol, another process's memory, and flat regions."""

from __future__ import annotations

import ctypes
import os
from typing import Protocol

PAGE = 4096
_MOST_PIECES = 1024  # UIO_MAXIOV
_CHUNK = 4 << 20
_ADDRESS_SPACE = 1 << 64


class Fault(Exception):
    """An address cannot be translated. `done` bytes before it were transferred."""

    def __init__(self, address: int, write: bool, done: int = 0) -> None:
        super().__init__(f"{'write' if write else 'read'} at {address:#x}")
        self.address = address
        self.write = write
        self.done = done


class Memory(Protocol):
    """An address space. Both raise Fault with the first address that is not there."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """All of `data` to `address`; what lies before a fault has been written."""
        ...


class FlatMemory:
    """Regions of bytes at chosen addresses; everything else faults."""

    def __init__(self) -> None:
        self._regions: list[tuple[int, bytearray, bool]] = []
        self.writes: list[tuple[int, int]] = []

    def map(self, address: int, data: bytes, *, writable: bool = True) -> int:
        """Put `data` at `address`; returns the address."""
        self._regions.append((address, bytearray(data), writable))
        return address

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read."""
        result = bytearray()
        while len(result) < size:
            region, offset = self._find(address + len(result), False, len(result))
            result += region[offset : offset + size - len(result)]
        return bytes(result)

    def write(self, address: int, data: bytes) -> None:
        """As Memory.write; notes address and length in `writes`."""
        done = 0
        self.writes.append((address, len(data)))
        while done < len(data):
            region, offset = self._find(address + done, True, done)
            piece = data[done : done + len(region) - offset]
            region[offset : offset + len(piece)] = piece
            done += len(piece)

    def _find(self, address: int, write: bool, done: int) -> tuple[bytearray, int]:
        for start, region, writable in self._regions:
            if start <= address < start + len(region) and (writable or not write):
                return region, address - start
        raise Fault(address, write, done)


class _Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class ProcessMemory:
    """Memory of a process, by process_vm_readv(2) and process_vm_writev(2).

    Needs the right to trace the process. One that is gone, or may not be reached, faults.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        library = ctypes.CDLL(None, use_errno=True)
        self._readv = library.process_vm_readv
        self._writev = library.process_vm_writev
        for call in (self._readv, self._writev):
            call.restype = ctypes.c_ssize_t
            call.argtypes = [
                ctypes.c_int,
                ctypes.c_void_p,
                ctypes.c_ulong,
                ctypes.c_void_p,
                ctypes.c_ulong,
                ctypes.c_ulong,
            ]

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read."""
        # In chunks, so that a size far beyond what is mapped faults before it is allocated.
        chunks = []
        for start in range(0, size, _CHUNK):
            length = min(_CHUNK, size - start)
            buffer = ctypes.create_string_buffer(length)
            try:
                self._transfer(self._readv, buffer, address + start, length, write=False)
            except Fault as fault:
                raise Fault(fault.address, False, start + fault.done) from None
            chunks.append(buffer.raw)
        return b"".join(chunks)

    def write(self, address: int, data: bytes) -> None:
        """As Memory.write."""
        buffer = ctypes.create_string_buffer(data, len(data))
        self._transfer(self._writev, buffer, address, len(data), write=True)

    def _transfer(
        self,
        call: ctypes._NamedFuncPointer,
        buffer: ctypes.Array[ctypes.c_char],
        address: int,
        size: int,
        *,
        write: bool,
    ) -> None:
        done = 0
        while done < size:
            # A transfer stops between pieces, so one piece per page shows the faulting page.
            pieces: list[_Piece] = []
            position = done
            while position < size and len(pieces) < _MOST_PIECES:
                start = address + position
                if start >= _ADDRESS_SPACE:
                    break
                length = min(PAGE - start % PAGE, size - position)
                pieces.append(_Piece(start, length))
                position += length
            if not pieces:
                raise Fault((address + done) % _ADDRESS_SPACE, write, done)
            remote = (_Piece * len(pieces))(*pieces)
            local = _Piece(ctypes.addressof(buffer) + done, position - done)
            count = call(self.pid, ctypes.byref(local), 1, remote, len(pieces), 0)
            if count < 0:
                ctypes.get_errno()
                raise Fault(address + done, write, done)
            done += count
            if done < position and count == 0:
                raise Fault(address + done, write, done)


def own_memory() -> ProcessMemory:
    """The memory of this process."""
    return ProcessMemory(os.getpid())
