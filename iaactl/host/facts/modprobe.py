"""Options and blacklists of modules in modprobe.d."""

from __future__ import annotations

from iaactl.host.reading import Reading
from iaactl.model.facts import Line

MODULES = ("idxd", "iaa_crypto", "vfio_pci", "vfio_pci_core")
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")


def read_modprobe(read: Reading) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Lines with options, and lines that keep a module from being loaded, of MODULES only."""
    options, blacklisted = [], []
    seen: set[str] = set()
    for folder in FOLDERS:
        for name in read.names(folder):
            if not name.endswith(".conf") or name in seen:
                continue
            seen.add(name)  # a file of /etc hides one of the same name elsewhere
            path = f"{folder}/{name}"
            for number, text in enumerate((read.text(path) or "").splitlines(), 1):
                words = text.partition("#")[0].split()
                if len(words) < 2 or words[1].replace("-", "_") not in MODULES:
                    continue
                line = Line(path=path, number=number, text=" ".join(words))
                if words[0] == "options":
                    options.append(line)
                elif words[0] in ("blacklist", "install"):
                    blacklisted.append(line)
    return tuple(options), tuple(blacklisted)
