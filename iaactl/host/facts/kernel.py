"""The running kernel: release, command line, configuration, modules, log."""

from __future__ import annotations

import gzip
import re
import zlib

from iaactl.host.facts.modprobe import MODULES, read_modprobe
from iaactl.host.reading import Reading
from iaactl.model.facts import Kernel, KernelLog, Module
from iaactl.model.kernel_log import messages

OPTIONS = (
    "IRQ_REMAP", "INTEL_IOMMU", "INTEL_IOMMU_SVM", "INTEL_IOMMU_DEFAULT_ON",
    "INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON", "PCI_ATS", "PCI_PRI", "PCI_PASID", "INTEL_IDXD",
    "INTEL_IDXD_SVM", "INTEL_IDXD_BUS", "CRYPTO_DEV_IAA_CRYPTO", "IOMMU_SVA", "X86_5LEVEL",
)  # fmt: skip
"""Options of the kernel's configuration that decide about IAA."""

LOGS = (
    "/dev/kmsg", "/var/log/dmesg", "/dmesg.txt", "/journal.txt", "/var/log/kern.log",
    "/var/log/messages", "/var/log/syslog",
)  # fmt: skip
_SETTING = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)
_NOT_SET = re.compile(r"^# CONFIG_(\w+) is not set$", re.MULTILINE)


def read_kernel(read: Reading) -> Kernel:
    """Everything about the kernel that files tell."""
    release = (read.text("/proc/sys/kernel/osrelease") or "").strip() or None
    command_line = read.text("/proc/cmdline")
    config, path = _config(read, release)
    options, blacklisted = read_modprobe(read)
    module_file, builtin = _module_file(read, release)
    return Kernel(
        release=release,
        command_line=None if command_line is None else command_line.strip(),
        config=config,
        config_path=path,
        modules=_modules(read),
        module_file=module_file,
        builtin=builtin,
        module_options=options,
        blacklisted=blacklisted,
        log=_log(read),
    )


def _config(read: Reading, release: str | None) -> tuple[dict[str, str] | None, str | None]:
    packed = read.data("/proc/config.gz")
    if packed:
        try:
            return _options(gzip.decompress(packed).decode(errors="replace")), "/proc/config.gz"
        except (OSError, EOFError, zlib.error):
            pass  # cut off or garbled: as good as none
    if release:
        for path in (
            f"/boot/config-{release}",
            f"/lib/modules/{release}/config",
            f"/usr/lib/modules/{release}/config",
        ):
            text = read.text(path)
            if text and "CONFIG_" in text:
                return _options(text), path
    return None, None


def _options(text: str) -> dict[str, str]:
    values = {match[1]: match[2].strip('"') for match in _SETTING.finditer(text)}
    values |= {match[1]: "n" for match in _NOT_SET.finditer(text)}
    # What a configuration does not mention depends on something that is off.
    return {name: values.get(name, "n") for name in OPTIONS}


def _modules(read: Reading) -> dict[str, Module] | None:
    names = read.listing("/sys/module")
    if names is None:
        return None
    found = {}
    for name in (n for n in names if n in MODULES):
        folder = f"/sys/module/{name}/parameters"
        values = {p: read.text(f"{folder}/{p}") for p in read.names(folder)}
        found[name] = Module(
            name=name, parameters={p: v for p, v in values.items() if v is not None}
        )
    return found


def _module_file(read: Reading, release: str | None) -> tuple[str | None, bool | None]:
    for folder in (f"/lib/modules/{release}", f"/usr/lib/modules/{release}"):
        builtin = read.text(f"{folder}/modules.builtin")
        if builtin and "/idxd.ko" in builtin:
            return None, True
        listed = read.text(f"{folder}/modules.dep")
        if listed:
            match = re.search(r"^(\S*/idxd\.ko\S*):", listed, re.MULTILINE)
            return (f"{folder}/{match[1]}" if match else ""), False
    return None, None


def _log(read: Reading) -> KernelLog | None:
    for path in LOGS:
        text = read.text(path)
        if text:
            return KernelLog(source=path, lines=messages(text))
    return None
