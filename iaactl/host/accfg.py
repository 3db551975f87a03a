"""Configures devices through libaccel-config, opened at run time.

One library context per adapter: the library caches what it enumerates, so an adapter serves one
run and is closed after it. Opening it writes to `cmd_status` of every device; that is why nothing
but configuring uses it. Each write is read back from sysfs, because the library's setters return
0 for attributes that do not exist and can return the errno of an earlier call.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from iaactl.errors import (
    AttributeRefused,
    DeviceCommandFailed,
    DeviceNotFound,
    LibraryMissing,
    OperationError,
    Unsupported,
)
from iaactl.model.attributes import BY_NAME, Kind, Owner
from iaactl.model.cmd_status import SVA_CODES, explain
from iaactl.model.names import parse_member
from iaactl.native.system_error import errno_text

if TYPE_CHECKING:
    from iaactl.ports import Audit

LIBRARY = "libaccel-config.so.1"

_KINDS = {
    "wq": Owner.WQ,
    "engine": Owner.ENGINE,
    "group": Owner.GROUP,
}
_SETTERS: dict[tuple[Owner, str], tuple[str, type[int] | type[bytes]]] = {
    (Owner.DEVICE, "event_log_size"): ("accfg_device_set_event_log_size", int),
    (Owner.GROUP, "traffic_class_a"): ("accfg_group_set_traffic_class_a", int),
    (Owner.GROUP, "traffic_class_b"): ("accfg_group_set_traffic_class_b", int),
    (Owner.GROUP, "desc_progress_limit"): ("accfg_group_set_desc_progress_limit", int),
    (Owner.GROUP, "batch_progress_limit"): ("accfg_group_set_batch_progress_limit", int),
    (Owner.ENGINE, "group_id"): ("accfg_engine_set_group_id", int),
    (Owner.WQ, "mode"): ("accfg_wq_set_str_mode", bytes),
    (Owner.WQ, "type"): ("accfg_wq_set_str_type", bytes),
    (Owner.WQ, "name"): ("accfg_wq_set_str_name", bytes),
    (Owner.WQ, "driver_name"): ("accfg_wq_set_str_driver_name", bytes),
    (Owner.WQ, "op_config"): ("accfg_wq_set_op_config_str", bytes),
    (Owner.WQ, "size"): ("accfg_wq_set_size", int),
    (Owner.WQ, "group_id"): ("accfg_wq_set_group_id", int),
    (Owner.WQ, "priority"): ("accfg_wq_set_priority", int),
    (Owner.WQ, "prs_disable"): ("accfg_wq_set_prs_disable", int),
    (Owner.WQ, "block_on_fault"): ("accfg_wq_set_block_on_fault", int),
    (Owner.WQ, "threshold"): ("accfg_wq_set_threshold", int),
    (Owner.WQ, "max_transfer_size"): ("accfg_wq_set_max_transfer_size", int),
    (Owner.WQ, "ats_disable"): ("accfg_wq_set_ats_disable", int),
}
_WITHOUT_SETTER = frozenset({(Owner.WQ, "enqcmds_retries")})
"""No release of the library can set these: they are written to sysfs, and only to restore them."""

_RELEASE_OF = dict.fromkeys(
    (
        "accfg_device_set_event_log_size",
        "accfg_group_set_desc_progress_limit",
        "accfg_group_set_batch_progress_limit",
        "accfg_wq_set_prs_disable",
        "accfg_wq_set_op_config_str",
    ),
    "4.0",
)
_LOG_NOTHING = 0  # LOG_EMERG: the library's own messages would only repeat ours


def _owner(name: str) -> Owner:
    return next((owner for kind, owner in _KINDS.items() if name.startswith(kind)), Owner.DEVICE)


class AccelConfig:
    """A `Configurator`; also a context manager that releases the library's context.

    `audit` is called with every operation before it is tried.
    """

    def __init__(
        self, audit: Audit | None = None, bus: Path = Path("/sys/bus/dsa/devices")
    ) -> None:
        self._bus = bus
        self._audit = audit
        self._lib: Any = None
        self._ffi: Any = None
        self._ctx: Any = None

    # -- life of the library ------------------------------------------------------------------

    def _load(self) -> Any:
        if self._lib is None:
            from iaactl.host._accfg import ffi

            try:
                self._lib = ffi.dlopen(LIBRARY)
            except OSError as error:
                raise LibraryMissing(
                    f"{LIBRARY} cannot be loaded: {error}",
                    hint="apt install libaccel-config1 (or your distribution's accel-config)",
                ) from error
            self._ffi = ffi
        return self._lib

    def _context(self) -> Any:
        lib = self._load()
        if self._ctx is None:
            if not Path("/sys/module/idxd").exists():
                raise Unsupported(
                    "the idxd kernel module is not loaded", hint="modprobe idxd, then try again"
                )
            holder = self._ffi.new("struct accfg_ctx **")
            result = lib.accfg_new(holder)
            if result:
                raise OperationError(f"libaccel-config cannot start: {errno_text(-result)}")
            self._ctx = holder[0]
            lib.accfg_set_log_priority(self._ctx, _LOG_NOTHING)
        return self._ctx

    def close(self) -> None:
        """Release the library's context; a later call opens a fresh one."""
        if self._ctx is not None:
            self._lib.accfg_unref(self._ctx)
            self._ctx = None

    def __enter__(self) -> AccelConfig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- objects ------------------------------------------------------------------------------

    def _handle(self, device: str, name: str) -> Any:
        context, lib = self._context(), self._lib
        found = lib.accfg_ctx_device_get_by_name(context, device.encode())
        if found and name != device:
            lookup = {
                Owner.WQ: lib.accfg_device_wq_get_by_id,
                Owner.ENGINE: lib.accfg_device_engine_get_by_id,
                Owner.GROUP: lib.accfg_device_group_get_by_id,
            }[_owner(name)]
            found = lookup(found, parse_member(name).index)
        if not found:
            raise DeviceNotFound(f"libaccel-config does not know {device}/{name}", name=name)
        return found

    def _read(self, name: str, attribute: str) -> str | None:
        try:
            return (self._bus / name / attribute).read_text().removesuffix("\n")
        except OSError:
            return None

    def _setter(self, key: tuple[Owner, str]) -> tuple[Callable[..., int], type]:
        symbol, kind = _SETTERS[key]
        library = self._load()
        try:
            return getattr(library, symbol), kind
        except (AttributeError, self._ffi.error):  # cffi's own error, in this mode
            raise Unsupported(
                f"the installed libaccel-config cannot set `{key[1]}` (no {symbol})",
                hint=f"install libaccel-config {_RELEASE_OF.get(symbol, '4.1')} or later, "
                f"or remove `{key[1]}` from the profile",
            ) from None

    def check(self, attributes: Sequence[tuple[str, str]]) -> None:
        """Raise `Unsupported` for the first attribute this release of the library cannot set."""
        for name, attribute in attributes:
            key = (_owner(name), attribute)
            if key not in _WITHOUT_SETTER:
                self._setter(key)

    # -- operations ---------------------------------------------------------------------------

    def _tell(self, verb: str, path: str, before: str | None, after: str | None) -> None:
        if self._audit is not None:
            self._audit(verb, path, before, after)

    def write(self, device: str, name: str, attribute: str, value: str) -> None:
        """Write one attribute and read it back."""
        key = (_owner(name), attribute)
        path = f"{device}/{name}/{attribute}" if name != device else f"{device}/{attribute}"
        before = self._read(name, attribute)
        if key in _WITHOUT_SETTER:
            self._tell("write", path, before, value)
            result = self._write_sysfs(name, attribute, value)
        else:
            setter, kind = self._setter(key)
            handle = self._handle(device, name)
            self._tell("write", path, before, value)
            result = setter(handle, int(value) if kind is int else value.encode())
        after = self._read(name, attribute)
        wanted = value.strip()
        same = after == wanted or (
            after is not None
            and BY_NAME[key].kind in (Kind.INTEGER, Kind.SWITCH)
            and after.lstrip("-").isdigit()
            and int(after) == int(value)
        )
        if same and result == 0:
            return
        if result:
            reason = errno_text(-result)
        elif after is None:
            reason = "the attribute cannot be read back"
        else:
            reason = f"it was accepted, but reads back `{after}`"
        raise AttributeRefused(
            f"{path}: writing `{wanted}` was refused: {reason}",
            object=f"{device}/{name}",
            attribute=attribute,
            value=wanted,
            errno=-result,
        )

    def _write_sysfs(self, name: str, attribute: str, value: str) -> int:
        try:
            (self._bus / name / attribute).write_text(value)
        except OSError as error:
            return -(error.errno or 1)
        return 0

    def _command(self, verb: str, device: str, name: str, result: int, wanted: str) -> None:
        state = self._read(name, "state")
        if result == 0 and state == wanted:
            return
        raw = self._read(device, "cmd_status")
        status = int(raw, 16) if raw else 0
        reason = errno_text(abs(result)) if result else f"its state is `{state}`"
        label = name if name == device else f"{device}/{name}"
        if status:
            reason += f"; cmd_status {status:#x}: {explain(status)}"
        hint = f"`iaactl show {name}` and the kernel log (dmesg) may tell more"
        if status in SVA_CODES:
            hint = "`iaactl doctor` names the cause"
        if abs(result) == errno.EEXIST and self._read(name, "driver_name") == "crypto":
            # The driver cannot register its algorithm twice: a bug of Linux up to 7.3 at least.
            hint = "iaa_crypto must be reloaded first: rmmod iaa_crypto && modprobe iaa_crypto"
        raise DeviceCommandFailed(
            f"{verb} {label} failed: {reason}",
            hint=hint,
            object=label,
            errno=abs(result),
            cmd_status=status,
        )

    def enable_device(self, device: str) -> None:
        """Enable a device."""
        handle = self._handle(device, device)
        self._tell("enable", device, None, None)
        result = self._lib.accfg_device_enable(handle)
        self._command("enable", device, device, result, "enabled")

    def disable_device(self, device: str) -> None:
        """Disable a device."""
        handle = self._handle(device, device)
        self._tell("disable", device, None, None)
        result = self._lib.accfg_device_disable(handle, True)
        self._command("disable", device, device, result, "disabled")

    def enable_wq(self, device: str, name: str) -> None:
        """Enable a work queue."""
        handle = self._handle(device, name)
        self._tell("enable", f"{device}/{name}", None, None)
        result = self._lib.accfg_wq_enable(handle)
        self._command("enable", device, name, result, "enabled")

    def disable_wq(self, device: str, name: str) -> None:
        """Disable a work queue; clients it has lose it."""
        handle = self._handle(device, name)
        self._tell("disable", f"{device}/{name}", None, None)
        result = self._lib.accfg_wq_disable(handle, True)
        self._command("disable", device, name, result, "disabled")
