"""Guest memory, its bitmap, zero pages, and the thread that dirties."""

from __future__ import annotations

import os
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iaactl.errors import HostError, OperationError, UsageProblem
from iaactl.multifd.codecs import zero_scan
from iaactl.multifd.memory import Dirtier, Memory, Pattern
from iaactl.multifd.pipeline import Sender, SendOptions
from multifd import PAGE, packets


def changed(memory: Memory, before: bytes) -> list[int]:
    with memory.view() as view:
        return [
            page
            for page in range(memory.pages)
            if view[page * PAGE : (page + 1) * PAGE] != before[page * PAGE : (page + 1) * PAGE]
        ]


def test_it_is_fresh_and_can_be_made_fresh_again() -> None:
    with Memory(300 * PAGE, prealloc=False) as memory, Memory(300 * PAGE, prealloc=True) as other:
        assert (memory.size, memory.pages, memory.dirty_pages()) == (300 * PAGE, 300, 0)
        assert memory.address % (2 << 20) == 0
        assert memory.first_difference(other) is None
        with memory.view() as view:
            view[200 * PAGE + 7] = 1
        assert memory.first_difference(other) == 200
        memory.mark_all_dirty()
        assert memory.dirty_pages() == 300
        memory.clear()
        assert (memory.dirty_pages(), memory.first_difference(other)) == (0, None)


def test_prealloc_faults_all_of_it_in() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    before = resident()
    with Memory(64 << 20, prealloc=False):
        assert resident() - before < 1000
    with Memory(64 << 20, prealloc=True):
        assert resident() - before >= 16000


@pytest.mark.parametrize("size", [0, -PAGE, 1, PAGE + 1])
def test_sizes(size: int) -> None:
    with pytest.raises(UsageProblem, match="whole pages"):
        Memory(size, prealloc=False)


def test_too_large() -> None:
    with pytest.raises(HostError, match="cannot be had"):
        Memory(1 << 62, prealloc=False)


def test_it_is_not_taken_away_from_under_a_view() -> None:
    memory = Memory(PAGE, prealloc=False)
    view = memory.view()
    part = view[10:20]
    view.release()
    with pytest.raises(OperationError, match="still looked at"):
        memory.close()
    part[0] = 7
    part.release()
    del view, part
    memory.close()
    memory.close()
    for use in (memory.view, memory.dirty_pages, memory.mark_all_dirty):
        with pytest.raises(OperationError, match="was closed"):
            use()


def test_other_sizes_do_not_compare() -> None:
    with (
        Memory(PAGE, prealloc=False) as a,
        Memory(2 * PAGE, prealloc=False) as b,
        pytest.raises(UsageProblem, match="4096 and 8192"),
    ):
        a.first_difference(b)


@pytest.mark.parametrize("pages", [1, 63, 64, 65, 127, 128, 129, 500])
def test_all_dirty_pages_are_taken_once(pages: int) -> None:
    """Bitmap words, packets and memory end at different places."""
    with Memory(pages * PAGE, prealloc=False) as memory:
        memory.mark_all_dirty()
        assert memory.dirty_pages() == pages
        fd = os.memfd_create("channel")
        with Sender(memory, [fd], SendOptions()) as sender:
            assert sender.round() == pages
            assert sender.round() == 0
        os.lseek(fd, 0, os.SEEK_SET)
        found = [o for p in packets(os.read(fd, 1 << 20)) for o in (*p.normal, *p.zero)]
        os.close(fd)
        assert sorted(found) == [n * PAGE for n in range(pages)]


@given(st.integers(0, PAGE - 1), st.integers(1, 255), st.sampled_from(["sse2", "avx2", "avx512"]))
def test_law_one_byte_makes_a_page_no_zero_page(at: int, value: int, variant: str) -> None:
    with Memory(2 * PAGE, prealloc=False) as memory, memory.view() as view:
        try:
            assert zero_scan(view, variant).zero_pages == 2
        except HostError:
            return  # not on this CPU
        view[PAGE + at] = value
        assert zero_scan(view, variant).zero_pages == 1
        assert zero_scan(view).zero_pages == 1
        view.release()


def test_zero_scan_says_what_it_used() -> None:
    with Memory(PAGE, prealloc=False) as memory, memory.view() as view:
        assert zero_scan(view).variant in ("sse2", "avx2", "avx512")
        assert zero_scan(view, "sse2").variant == "sse2"
        with pytest.raises(UsageProblem, match="mmx"):
            zero_scan(view, "mmx")
        with pytest.raises(UsageProblem, match="not whole pages"):
            zero_scan(view[1:])


def wait_for(dirtier: Dirtier, pages: int) -> None:
    deadline = time.monotonic() + 20
    while dirtier.written < pages and time.monotonic() < deadline:
        time.sleep(0.001)
    assert dirtier.written >= pages


@pytest.mark.parametrize("pattern", ["sequential", "random", "hot"])
def test_what_is_written_is_dirty_and_nothing_else(pattern: Pattern) -> None:
    with Memory(400 * PAGE, prealloc=False) as memory:
        with memory.view() as view:
            view[:] = os.urandom(PAGE) * 400
            before = bytes(view)
        with Dirtier(
            memory, pages_per_s=0, pattern=pattern, first_page=100, pages=200, seed=5
        ) as dirtier:
            dirtier.start()
            wait_for(dirtier, 5000)
            dirtier.pause()
            written, found = dirtier.written, changed(memory, before)
            assert memory.dirty_pages() == len(found)
            assert set(found) <= set(range(100, 300))
            time.sleep(0.02)
            assert changed(memory, before) == found
            assert dirtier.written == written
            dirtier.resume()
            wait_for(dirtier, written + 100)
            assert dirtier.stop() == dirtier.stop() >= written + 100
        if pattern == "hot":
            assert len([p for p in found if p < 120]) == 20


def replay(seed: int, pages: int, writes: int) -> bytes:
    """Memory after so many writes of pattern random, from the description of the thread."""
    memory = [[0] * 512 for _ in range(pages)]
    state, mask = seed, 2**64 - 1

    def draw() -> int:
        nonlocal state
        state = state + 0x9E3779B97F4A7C15 & mask
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31

    for _ in range(writes):
        page = draw() % pages
        where = draw()
        for n in range(4):
            memory[page][where >> 16 * n & 511] += 1
    return b"".join(word.to_bytes(8, "little") for page in memory for word in page)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_what_is_written_is_a_function_of_the_seed(seed: int) -> None:
    with (
        Memory(64 * PAGE, prealloc=False) as memory,
        Dirtier(memory, pages_per_s=20000, pattern="random", seed=seed) as dirtier,
    ):
        dirtier.start()
        wait_for(dirtier, 300)
        dirtier.pause()
        with memory.view() as view:
            assert view == replay(seed, 64, dirtier.written)


def test_pages_compress_about_as_before() -> None:
    text = (b"the quick brown fox jumps over the lazy dog, " * 100)[:PAGE]
    with (
        Memory(64 * PAGE, prealloc=False) as memory,
        Dirtier(memory, pages_per_s=10000, pattern="sequential") as dirtier,
    ):
        with memory.view() as view:
            view[:] = text * 64
        dirtier.start()
        wait_for(dirtier, 128)
        dirtier.pause()
        words = 4 * (dirtier.written // 64 + 1)  # that differ, at most
        with memory.view() as view:
            size = len(zlib.compress(view[:PAGE], 1))
        assert size <= len(zlib.compress(text, 1)) + 16 * words


def test_the_rate_is_kept_roughly() -> None:
    """Far apart on purpose: other load delays the thread, nothing makes it faster."""
    with (
        Memory(64 * PAGE, prealloc=False) as memory,
        Dirtier(memory, pages_per_s=2000, pattern="random") as dirtier,
    ):
        began = time.monotonic()
        dirtier.start()
        time.sleep(0.3)
        written = dirtier.stop()
        assert 20 <= written <= 2000 * (time.monotonic() - began) + 1


def test_usage() -> None:
    with Memory(10 * PAGE, prealloc=False) as memory:
        with pytest.raises(UsageProblem, match="pages 5 to 10 cannot be dirtied"):
            Dirtier(memory, pages_per_s=1, pattern="hot", first_page=5, pages=6)
        with pytest.raises(UsageProblem, match="dirty rate"):
            Dirtier(memory, pages_per_s=-1, pattern="hot")
        dirtier = Dirtier(memory, pages_per_s=1, pattern="hot")
        dirtier.start()
        with pytest.raises(OperationError, match="started before"):
            dirtier.start()
        dirtier.close()
        with pytest.raises(OperationError, match="was closed"):
            dirtier.pause()
