"""Who (de)compresses pages of method qpl here, as settings of the native codec and in words."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iaactl.errors import HostError, IaactlError, LibraryMissing, UsageProblem
from iaactl.iaa import descriptor
from iaactl.iaa.aecs import COMPRESS_AECS_BYTES, CompressAecs
from iaactl.model.migration import PAGE_BYTES, Backend, Choice, Method
from iaactl.multifd.libraries import library, package
from iaactl.native._core import ffi, lib
from iaactl.native.opening import refused
from iaactl.native.system_error import errno_text

_ROOM = PAGE_BYTES - 1  # a length of 4096 means that the page is sent as it is
_KINDS = {
    "isal": lib.IAACTL_CODEC_ISAL,
    "isal-default": lib.IAACTL_CODEC_ISAL_DEFAULT,
    "libdeflate": lib.IAACTL_CODEC_LIBDEFLATE,
    "zlib": lib.IAACTL_CODEC_ZLIB,
    "libqpl": lib.IAACTL_CODEC_LIBQPL,
    "iaa": lib.IAACTL_CODEC_IAA,
}
# Fastest first.
_SOFTWARE = {False: ("isal", "zlib"), True: ("libdeflate", "isal", "zlib")}


@dataclass(frozen=True, slots=True)
class CodecPlan:
    """A codec by name, the one that helps it out, and the queues it uses.

    `queue_cpus` are the CPUs of each queue's socket, by path: a packet goes to the queues of the
    socket that the thread runs on. Without them, or where that socket has no queue, to all.
    """

    name: str
    fallback: str
    decompress: bool
    level: int = 1
    queues: tuple[str, ...] = ()
    queue_cpus: Mapping[str, Collection[int]] = field(default_factory=dict)
    block_on_fault: bool = False
    timeout_s: float = 10.0

    def fill(self, settings: Any) -> list[Any]:
        """Write `struct iaactl_codec_settings`; what is returned must live until it was used."""
        settings.kind = _KINDS[self.name]
        settings.fallback = _KINDS[self.fallback]
        settings.level = self.level
        settings.decompress = self.decompress
        settings.timeout_ns = int(self.timeout_s * 1e9)
        if self.name != "iaa":
            return []
        paths = [ffi.new("char[]", path.encode()) for path in self.queues]
        array = ffi.new("const char *[]", paths)
        settings.queues = array
        settings.queue_count = len(paths)
        cpus = self._cpu_sets()
        settings.queue_cpus = cpus
        ffi.memmove(settings.descriptor, self._descriptor(), descriptor.DESCRIPTOR_BYTES)
        if self.decompress:
            return [paths, array, cpus]
        aecs = ffi.new("uint8_t[]", CompressAecs.fixed().pack())
        settings.aecs = aecs
        settings.aecs_bytes = COMPRESS_AECS_BYTES
        return [paths, array, cpus, aecs]

    def _cpu_sets(self) -> Any:
        """`queue_cpus` of the settings; NULL where nobody knows the CPUs of a queue's socket."""
        if not all(self.queue_cpus.get(path) for path in self.queues):
            return ffi.NULL
        words = lib.IAACTL_CPU_WORDS
        sets = ffi.new("uint64_t[]", words * len(self.queues))
        for number, path in enumerate(self.queues):
            for cpu in self.queue_cpus[path]:
                if cpu < 64 * words:
                    sets[number * words + cpu // 64] |= 1 << cpu % 64
        return sets

    def _descriptor(self) -> bytes:
        """All that is the same for every page; addresses and sizes of sources come later."""
        if self.decompress:
            template = descriptor.decompress(
                0, (0, 0), (0, PAGE_BYTES), block_on_fault=self.block_on_fault
            )
        else:
            template = descriptor.compress(
                0,
                (0, PAGE_BYTES),
                (0, _ROOM),
                (0, COMPRESS_AECS_BYTES),
                block_on_fault=self.block_on_fault,
            )
        return template.pack()

    def failure(self, number: int, queue: int) -> IaactlError:
        """The exception for -`number` of a create function of the native core."""
        if number == errno.ENOSYS:
            return missing(self.name if self.name != "iaa" else self.fallback)
        if number == errno.ENOMEM:
            return HostError(f"there is no memory for the codec {self.name}")
        if self.queues and queue < len(self.queues):
            return refused(self.queues[queue], number)
        return UsageProblem(f"the codec {self.name} cannot be made: {errno_text(number)}")

    def try_out(self) -> IaactlError | None:
        """Make the codec and throw it away; why it cannot be made, or None."""
        settings = ffi.new("struct iaactl_codec_settings *")
        keep = self.fill(settings)
        holder, queue = ffi.new("struct iaactl_codec **"), ffi.new("uint32_t *")
        result = lib.iaactl_codec_create(settings, queue, holder)
        del keep
        if result:
            return self.failure(-result, int(queue[0]))
        lib.iaactl_codec_destroy(holder[0])
        return None


def missing(name: str) -> LibraryMissing:
    """The exception for a library that is not here, or cannot be used."""
    name = name.removesuffix("-default").removesuffix("-stream")
    about = library(name)
    return LibraryMissing(
        f"{about.soname} cannot be used: {about.why_not or 'it refuses to be initialised'}",
        hint=f"install the package {package(name)}",
        library=name,
    )


def _software(decompress: bool) -> str:
    for name in _SOFTWARE[decompress]:
        if not library(name).why_not:
            return name
    raise missing(_SOFTWARE[decompress][-1])


def _software_reason(name: str, decompress: bool) -> str:
    best = _SOFTWARE[decompress][0]
    if name == best:
        return f"{library(name)} is the fastest library here"
    return f"{library(best).soname} is not here ({library(best).why_not}): {name} is slower"


def choose(
    method: Method,
    backend: Backend,
    *,
    decompress: bool,
    queues: Sequence[str],
    block_on_fault: bool,
    timeout_s: float,
    queue_cpus: Mapping[str, Collection[int]] | None = None,
) -> tuple[CodecPlan | None, Choice]:
    """The codec of method qpl (None for others) and what to tell the user.

    `auto` takes the queues if there are any and all can be opened, else software, and says why.
    Raises UsageProblem, LibraryMissing or HostError when the backend asked for cannot be had.
    """
    if method is not Method.QPL:
        return None, _other(method)
    software = _software(decompress)
    plan = CodecPlan(
        "iaa",
        software,
        decompress,
        queues=tuple(queues),
        queue_cpus=queue_cpus or {},
        block_on_fault=block_on_fault,
        timeout_s=timeout_s,
    )
    if backend is Backend.IAA or (backend is Backend.AUTO and queues):
        if not queues:
            raise UsageProblem(
                "backend iaa needs work queues", hint="name nodes such as /dev/iax/wq1.0"
            )
        problem = plan.try_out()
        if problem is None:
            return plan, _choice(Backend.IAA, plan, f"{len(queues)} work queues could be opened")
        if backend is Backend.IAA:
            raise problem
        why = f"{problem.message}; {_software_reason(software, decompress)}"
    elif backend is Backend.LIBQPL:
        plan = CodecPlan("libqpl", software, decompress)
        problem = plan.try_out()
        if problem is not None:
            raise problem
        return plan, _choice(Backend.LIBQPL, plan, "asked for")
    else:
        why = _software_reason(software, decompress)
        if backend is Backend.AUTO:
            why = f"no work queues were given; {why}"
    plan = CodecPlan(software, software, decompress)
    return plan, _choice(Backend.SOFTWARE, plan, why)


def _choice(backend: Backend, plan: CodecPlan, reason: str) -> Choice:
    if plan.name == "iaa":
        who = f"iaa ({', '.join(plan.queues)}), {library(plan.fallback)} when queues are full"
    else:
        who = str(library(plan.name))
    return Choice(backend=backend, codec=who, reason=reason)


def _other(method: Method) -> Choice:
    if method is Method.NONE:
        return Choice(backend=None, codec="none", reason="pages are sent as they are")
    return Choice(backend=None, codec=str(library(method.value)), reason=f"method {method.value}")
