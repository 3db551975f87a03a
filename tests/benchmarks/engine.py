"""Measures the page engine on one file of guest pages: ratios, from one run on the same data.

    python tests/benchmarks/engine.py [FILE.xz] [ROUNDS]

CPU time of the calling thread, codecs interleaved with the order reversed every other round,
medians. Not a test: machines differ. With libqpl where it is installed (or through the loader of
a newer suite: `tests/sim/suites.py`, `python()`), the base of all ratios; without it, zlib is.
"""

from __future__ import annotations

import lzma
import socket
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from iaactl.errors import IaactlError
from iaactl.model.migration import Backend, Method
from iaactl.multifd.codecs import DECOMPRESSORS, Compressed, PageCodec, zero_scan
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions

PAGE = 4096
SAMPLE = Path(__file__).parents[1] / "data" / "guest-pages-1m.bin.xz"
CODECS = ("libqpl", "isal", "isal-default", "libdeflate", "zlib", "zlib-stream", "zstd-stream")


def here() -> dict[str, PageCodec]:
    found = {}
    for name in CODECS:
        try:
            found[name] = PageCodec(name)
        except IaactlError as reason:
            print(f"not measured: {reason.message}")
    return found


def interleaved(runs: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median of each, in nanoseconds."""
    times: dict[str, list[int]] = defaultdict(list)
    for round_ in range(rounds + 1):
        for name in sorted(runs, reverse=bool(round_ % 2)):
            spent = runs[name]()
            if round_:  # the first one warms up
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def codecs(data: memoryview, rounds: int) -> None:
    found = here()
    base = "libqpl" if "libqpl" in found else "zlib"
    results: dict[str, Compressed] = {}

    def pack(name: str) -> int:
        results[name] = found[name].compress(data)
        return results[name].cpu_ns

    packed = interleaved({name: partial(pack, name) for name in found}, rounds)

    def unpack(name: str, source: str) -> int:
        out = found[name].decompress(results[source], data)
        assert out.pages == data, name
        return out.cpu_ns

    own = interleaved(
        {name: partial(unpack, name, name) for name in found if name in DECOMPRESSORS},
        rounds,
    )
    of_base = interleaved(
        {
            name: partial(unpack, name, base)
            for name in found
            if name in DECOMPRESSORS and found[name].unit_pages == 1
        },
        rounds,
    )
    print(f"\n{len(data) // PAGE} pages; x is CPU time of {base} by that of the codec")
    print(f"{'codec':<13} ratio  of base   raw   GB/s     x | unpacks own | unpacks {base}'s")
    ratio = {name: len(data) / result.bytes for name, result in results.items()}
    for name in found:
        line = f"{name:<13} {ratio[name]:5.3f}  {ratio[name] / ratio[base]:6.3f}"
        line += f"  {results[name].raw_pages / (len(data) // PAGE):5.3f}"
        line += f"  {len(data) / packed[name]:5.3f}  {packed[base] / packed[name]:4.2f}"
        if name in own:
            line += f" | {len(data) / own[name]:6.3f}     "
        if name in of_base:
            line += f" | {len(data) / of_base[name]:6.3f}  {of_base[base] / of_base[name]:4.2f}"
        print(line)


def once(data: memoryview, method: Method, backend: Backend, channels: int) -> tuple[float, ...]:
    """Seconds, and CPU nanoseconds of the senders: all, codecs; over unix sockets, drained here."""
    pairs = [socket.socketpair() for _ in range(channels)]
    try:
        with Memory(len(data), prealloc=True) as a, Memory(len(data), prealloc=True) as b:
            with a.view() as view:
                view[:] = data
            a.mark_all_dirty()
            ours, theirs = ([end.fileno() for end in side] for side in zip(*pairs, strict=True))
            with (
                Receiver(b, theirs, ReceiveOptions(method=method, backend=backend)) as receiver,
                Sender(a, ours, SendOptions(method=method, backend=backend)) as sender,
            ):
                receiver.start()
                began = time.perf_counter()
                sender.round()
                receiver.wait_sync(1, 60)
                took = time.perf_counter() - began
                sender.finish()
                receiver.finish(60)
                assert a.first_difference(b) is None
                counted = sender.counters()
            return took, sum(c.cpu_ns for c in counted), sum(c.codec_ns for c in counted)
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def overhead(data: memoryview, rounds: int) -> None:
    """All of the sender's CPU that is not codec, less what method none costs for its writes."""
    none, qpl = [], []
    for _ in range(rounds):
        none.append(once(data, Method.NONE, Backend.AUTO, 1))
        qpl.append(once(data, Method.QPL, Backend.SOFTWARE, 1))
    bare = statistics.median(cpu for _, cpu, _ in none)
    cpu = statistics.median(cpu for _, cpu, _ in qpl)
    codec = statistics.median(codec for _, _, codec in qpl)
    print(
        f"\nsender, one channel: qpl {cpu / 1e6:.1f} ms CPU, {codec / 1e6:.1f} of it codec; none "
        f"{bare / 1e6:.1f} ms\nnot codec: {(cpu - codec) / cpu:.1%} of qpl's CPU; beyond none's "
        f"own cost: {max(0.0, cpu - codec - bare) / cpu:.1%}"
    )


def scaling(data: memoryview, rounds: int) -> None:
    """Two senders at once against one: compression alone, as each channel does it."""

    def wall(threads: int) -> float:
        encoders = [PageCodec("isal") for _ in range(threads)]
        parts = [threading.Thread(target=c.compress, args=(data,)) for c in encoders]
        began = time.perf_counter()
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        took = time.perf_counter() - began
        for encoder in encoders:
            encoder.close()
        return threads * len(data) / took

    one, two = [], []
    for _ in range(rounds):
        one.append(wall(1))
        two.append(wall(2))
    print(
        f"\ntwo threads compress {statistics.median(two) / statistics.median(one):.2f} x one "
        f"(best against best {max(two) / max(one):.2f}); idle cores are needed for that"
    )


def zero(rounds: int) -> None:
    """Scan of zero pages larger than any cache, against reading it, on one core."""
    size = 512 << 20
    with Memory(size, prealloc=True) as memory, memory.view() as view:

        def scan(name: str) -> int:
            return zero_scan(view, name).cpu_ns

        scans = {name: partial(scan, name) for name in ("sse2", "avx2", "avx512")}
        usable = {}
        for name, run in scans.items():
            try:
                run()
                usable[name] = run
            except IaactlError:
                pass

        def read() -> int:
            before = time.thread_time_ns()
            assert memory.first_difference(memory) is None
            return time.thread_time_ns() - before

        times = interleaved({**usable, "memcmp with itself": read}, rounds)
        print("\nzero pages, 512 MiB:")
        for name, spent in times.items():
            print(f"  {name:<20} {size / spent:6.2f} GB/s")
        print(f"  {zero_scan(view).variant} is what the engine uses")


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    data = memoryview(lzma.decompress(path.read_bytes()))
    codecs(data, rounds)
    overhead(data, rounds)
    scaling(data, rounds)
    zero(5)


if __name__ == "__main__":
    main()
