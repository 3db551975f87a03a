"""The files of /proc and /boot that tell programs what machine and kernel they run on.

uname(2) is answered by the running kernel and cannot be changed from here.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from iaactl.sim import kconfig, modules, topology
from iaactl.sim.machine import MachineSpec

# In the kernel's order, as a Sapphire Rapids under Linux 6 shows them.
_FLAGS = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush dts acpi mmx"
    " fxsr sse sse2 ss ht tm pbe syscall nx pdpe1gb rdtscp lm constant_tsc art arch_perfmon pebs"
    " bts rep_good nopl xtopology nonstop_tsc cpuid aperfmperf tsc_known_freq pni pclmulqdq dtes64"
    " monitor ds_cpl vmx smx est tm2 ssse3 sdbg fma cx16 xtpr pdcm pcid dca sse4_1 sse4_2 x2apic"
    " movbe popcnt tsc_deadline_timer aes xsave avx f16c rdrand hypervisor lahf_lm abm"
    " 3dnowprefetch cpuid_fault epb cat_l3 cat_l2 cdp_l3 cdp_l2 ssbd mba ibrs ibpb stibp"
    " ibrs_enhanced tpr_shadow flexpriority ept vpid ept_ad fsgsbase tsc_adjust bmi1 avx2 smep"
    " bmi2 erms invpcid cqm rdt_a avx512f avx512dq rdseed adx smap avx512ifma clflushopt clwb"
    " intel_pt avx512cd sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves cqm_llc"
    " cqm_occup_llc cqm_mbm_total cqm_mbm_local split_lock_detect avx_vnni avx512_bf16 wbnoinvd"
    " dtherm ida arat pln pts hwp hwp_act_window hwp_epp hwp_pkg_req avx512vbmi umip pku ospke"
    " waitpkg avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq"
    " la57 rdpid bus_lock_detect cldemote movdiri movdir64b enqcmd fsrm md_clear serialize"
    " tsxldtrk pconfig arch_lbr amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d"
    " arch_capabilities"
)
_OF_THE_MACHINE = frozenset(("hypervisor", "la57", "movdir64b", "enqcmd"))
"""Flags that are there only where the machine says so."""


def _flags(spec: MachineSpec) -> list[str]:
    known = _FLAGS.split()
    found = [flag for flag in known if flag not in _OF_THE_MACHINE or flag in spec.cpu_flags]
    return found + [flag for flag in spec.cpu_flags if flag not in known]


def _cpuinfo(spec: MachineSpec) -> str:
    """A Sapphire Rapids for every CPU of the machine (CPU 0 only when it describes no nodes)."""
    flags = " ".join(_flags(spec))
    virtual_bits = 57 if "la57" in spec.cpu_flags else 48
    return "".join(
        f"processor\t: {number}\n"
        "vendor_id\t: GenuineIntel\n"
        "cpu family\t: 6\n"
        "model\t\t: 143\n"
        "model name\t: Intel(R) Xeon(R) Platinum 8480+\n"
        "stepping\t: 8\n"
        "microcode\t: 0x2b000603\n"
        "cpu MHz\t\t: 2000.000\n"
        "cache size\t: 107520 KB\n"
        f"physical id\t: {place.socket}\n"
        f"siblings\t: {place.siblings}\n"
        f"core id\t\t: {place.core}\n"
        f"cpu cores\t: {place.cores}\n"
        f"apicid\t\t: {number}\n"
        f"initial apicid\t: {number}\n"
        "fpu\t\t: yes\n"
        "fpu_exception\t: yes\n"
        "cpuid level\t: 32\n"
        "wp\t\t: yes\n"
        f"flags\t\t: {flags}\n"
        "bugs\t\t: spectre_v1 spectre_v2 spec_store_bypass swapgs eibrs_pbrsb bhi\n"
        "bogomips\t: 4000.00\n"
        "clflush size\t: 64\n"
        "cache_alignment\t: 64\n"
        f"address sizes\t: 52 bits physical, {virtual_bits} bits virtual\n"
        "power management:\n\n"
        for number, place in sorted(topology.places(spec).items())
    )


def _loaded(spec: MachineSpec) -> set[str]:
    """The modules at the start: nothing in the machine loads or unloads any."""
    loaded = set(spec.modules)
    if "movdir64b" not in spec.cpu_flags:
        loaded -= {"idxd", "iaa_crypto"}
    return loaded | {"idxd_bus"} if "idxd" in loaded else loaded


def config(spec: MachineSpec) -> str | None:
    """The kernel's build options as text; None where the machine does not publish them."""
    if not spec.kernel.config_published:
        return None
    return kconfig.text(spec.kernel.release, spec.kernel.options)


def contents(spec: MachineSpec) -> dict[str, bytes]:
    """The files of /proc that are the machine's own, by path."""
    options = config(spec)
    return {
        "/proc/cmdline": f"{spec.command_line}\n".encode(),
        "/proc/sys/kernel/osrelease": f"{spec.kernel.release}\n".encode(),
        "/proc/sys/kernel/dmesg_restrict": b"%d\n" % spec.kernel.dmesg_restrict,
        "/proc/version": f"{spec.kernel.banner}\n".encode(),
        "/proc/cpuinfo": _cpuinfo(spec).encode(),
        "/proc/modules": modules.listing(_loaded(spec)).encode(),
        # Distributions put the options below /boot; where the host's kernel shows its own, they
        # must not be taken for the machine's.
        "/proc/config.gz": b"" if options is None else gzip.compress(options.encode(), mtime=0),
    }


def proc_files(spec: MachineSpec, directory: str) -> list[tuple[str, str]]:
    """Write the files that stand for those in /proc; pairs of the file and what it replaces.

    What the host's kernel does not have cannot be covered, and is missing in the machine.
    """
    pairs: list[tuple[str, str]] = []
    for target, content in contents(spec).items():
        if Path(target).exists():
            source = Path(directory, Path(target).name)
            source.write_bytes(content)
            source.chmod(0o444)
            pairs.append((str(source), target))
    return pairs


def fill_boot(spec: MachineSpec, directory: Path) -> None:
    """Put what belongs to the machine's kernel into its private /boot, where the host has one."""
    options = config(spec)
    if options is not None and directory.is_dir():
        path = directory / f"config-{spec.kernel.release}"
        path.write_text(options)
        path.chmod(0o644)
