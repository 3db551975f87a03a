"""Grants access to device nodes by udev rules, one line for one work queue.

The rules live in /run: they last as long as the configuration they belong to, that is until a
reboot, and udevd applies them each time a node appears. Nodes that exist are brought up to date
by a `change` event, which is what `udevadm trigger` sends.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from iaactl.errors import OperationError, PermissionMissing
from iaactl.model.device import Access

_RULE = re.compile(
    r'SUBSYSTEM=="dsa", KERNEL=="iax/(?P<wq>wq[0-9]+\.[0-9]+)", '
    r'OWNER="(?P<owner>[^"]+)", GROUP="(?P<group>[^"]+)", MODE="(?P<mode>[0-7]+)"'
)
_HEADER = "# Written by iaactl; `iaactl apply` and `iaactl reset` replace it.\n"
_SETTLE_S = 5.0


class UdevRules:
    """`NodeAccess` by a rules file of our own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = root / "run/udev/rules.d/70-iaactl.rules"
        self._bus = root / "sys/bus/dsa/devices"
        self._nodes = root / "dev/iax"

    def rules(self) -> dict[str, Access]:
        """The rules in force, by work queue."""
        try:
            text = self._file.read_text()
        except OSError:
            return {}
        return {
            match["wq"]: Access(
                wq=match["wq"],
                owner=match["owner"],
                group=match["group"],
                mode=int(match["mode"], 8),
            )
            for match in _RULE.finditer(text)
        }

    def _write(self, rules: dict[str, Access]) -> None:
        lines = [
            f'SUBSYSTEM=="dsa", KERNEL=="iax/{a.wq}", '
            f'OWNER="{a.owner}", GROUP="{a.group}", MODE="{a.mode:04o}"\n'
            for a in rules.values()
        ]
        try:
            if not lines:
                self._file.unlink(missing_ok=True)
                return
            self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            scratch = self._file.with_suffix(".new")
            scratch.write_text(_HEADER + "".join(lines))
            scratch.rename(self._file)
        except OSError as error:
            raise PermissionMissing(
                f"{self._file} cannot be written: {error.strerror}",
                hint="granting access to a work queue needs root",
            ) from error

    def _trigger(self, wq: str) -> None:
        try:
            (self._bus / wq / f"iax!{wq}" / "uevent").write_text("change")
        except OSError:
            return  # no node now: the rule applies when it appears

    def grant(self, accesses: Sequence[Access]) -> None:
        """Write the rules and wait until udevd has applied them to the nodes that exist."""
        if not accesses:
            return
        self._write(self.rules() | {access.wq: access for access in accesses})
        for access in accesses:
            self._settle(access)

    def revoke(self, wqs: Sequence[str]) -> None:
        """Remove the rules of these work queues; nodes that exist go back to root, 0600."""
        rules = self.rules()
        gone = [wq for wq in wqs if wq in rules]
        if not gone:
            return
        for wq in gone:
            # udevd leaves a node as it is when no rule names it, so say root once more.
            rules[wq] = Access(wq=wq)
        self._write(rules)
        for wq in gone:
            self._settle(rules[wq])
        self._write({wq: rule for wq, rule in rules.items() if wq not in gone})

    def _settle(self, access: Access) -> None:
        node = self._nodes / access.wq
        if not node.exists():
            return
        deadline = time.monotonic() + _SETTLE_S
        while True:
            self._trigger(access.wq)
            try:
                mode = stat.S_IMODE(node.stat().st_mode)
                if (mode, node.owner(), node.group()) == (access.mode, access.owner, access.group):
                    return
            except FileNotFoundError:
                return
            except KeyError:
                pass
            if time.monotonic() > deadline:
                raise OperationError(
                    f"udev did not give {node} to {access.owner}:{access.group} "
                    f"{access.mode:04o} within {_SETTLE_S:.0f} s",
                    hint="is systemd-udevd running, and do user and group exist here?",
                    node=str(node),
                )
            time.sleep(0.05)
