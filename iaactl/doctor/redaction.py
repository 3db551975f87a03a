"""What is taken out of a collection before it leaves the host: names, addresses, secrets.

Pure: path and bytes to bytes. Line numbers stay, so that evidence still points to its line.
"""

from __future__ import annotations

import re

from iaactl.model.kernel_log import RELEVANT

_MAC = re.compile(r"\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b")
_SECRET = re.compile(
    r"(?i)\b([\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[-_]?key|private[-_]?key"
    r"|rd\.luks\.key|iscsi_username|iscsi_initiator|chap)[\w.-]*)=(\"[^\"]*\"|\S+)"
)
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*:(?://)?)[^\s/@:]+:[^\s/@]+@")
_SERIAL = re.compile(r"(?i)\b((?:serial|uuid|asset)[\w.-]*)([=:]\s*)(\"[^\"]*\"|\S+)")
_RELEVANT_ONLY = {
    "/dev/kmsg": RELEVANT,
    "rules.d/": re.compile(r"dsa|iax|0cfe"),
    "modules.dep": re.compile(r"idxd|iaa|vfio"),
    "modules.builtin": re.compile(r"idxd|iaa|vfio"),
    "modprobe.d/": re.compile(r"idxd|iaa|vfio"),
    "grub.cfg": re.compile(r"^\s*linux"),
    "grubenv": re.compile(r"^(?:kernelopts|saved_entry)="),
    "/etc/default/grub": re.compile(r"GRUB_CMDLINE|GRUB_DEFAULT"),
    "/proc/crypto": re.compile(r"iaa"),
    "/proc/cpuinfo": re.compile(
        r"^(?:processor|vendor_id|cpu family|model|stepping|microcode|flags)"
    ),
}
"""Files of which only the lines that matter are kept, by a part of their path."""

_LOGS = re.compile(r"/var/log/|/(?:dmesg|journal)\.txt$")


def redact(path: str, content: bytes, host_name: str | None) -> bytes:
    """The bytes of a collected file without what is nobody's business."""
    if b"\0" in content or content[:2] == b"\x1f\x8b":
        return content  # registers and packed configuration: nothing personal in them
    text = content.decode(errors="surrogateescape")
    key = "/dev/kmsg" if _LOGS.search(path) else path
    for part, keep in _RELEVANT_ONLY.items():
        if part in key:
            if part == "/proc/cpuinfo":  # one CPU of a few hundred, and of it what was read
                lines = text.partition("\n\n")[0].split("\n")
                text = "\n".join(line for line in lines if keep.search(line)) + "\n"
            else:
                text = "\n".join(line if keep.search(line) else "" for line in text.split("\n"))
            break
    text = _SECRET.sub(r"\1=REDACTED", text)
    text = _LOGIN.sub(r"\1REDACTED@", text)
    text = _SERIAL.sub(r"\1\2REDACTED", text)
    text = _MAC.sub("xx:xx:xx:xx:xx:xx", text)
    if host_name and len(host_name) > 2:
        text = re.sub(rf"\b{re.escape(host_name)}\b", "HOST", text)
    return text.encode(errors="surrogateescape")
