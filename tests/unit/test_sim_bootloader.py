"""What the boot loader is told, and what the machine was booted with."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from iaactl.sim import bootloader
from iaactl.sim.machine import load, names


def told(name: str, folder: Path) -> tuple[list[str], list[str]]:
    """Kernel parameters in the settings, and in the menu."""
    etc, boot = folder / "default", folder / "boot"
    etc.mkdir()
    boot.mkdir()
    bootloader.fill(load(name), etc, boot)
    words = shlex.split((etc / "grub").read_text(), comments=True)
    settings = dict(word.split("=", 1) for word in words)
    lines = (boot / "grub/grub.cfg").read_text().splitlines()
    (linux,) = [line.split() for line in lines if line.startswith("\tlinux\t")]
    assert linux[1] == f"/boot/vmlinuz-{load(name).kernel.release}"
    return settings["GRUB_CMDLINE_LINUX"].split(), linux[2:]


@pytest.mark.parametrize("name", names())
def test_machines_were_booted_as_the_menu_says(name: str, tmp_path: Path) -> None:
    settings, menu = told(name, tmp_path)
    booted = [w for w in load(name).command_line.split() if not w.startswith("BOOT_IMAGE=")]
    assert menu == booted
    assert (set(settings) <= set(menu)) is (name != "grub-not-updated")


def test_settings_that_have_not_reached_the_menu(tmp_path: Path) -> None:
    assert told("grub-not-updated", tmp_path) == (
        ["intel_iommu=on,sm_on"],
        ["root=/dev/sda1", "ro"],
    )


def test_nothing_is_written_where_the_host_has_no_such_place(tmp_path: Path) -> None:
    bootloader.fill(load("spr-2s"), tmp_path / "etc", tmp_path / "boot")
    assert list(tmp_path.iterdir()) == []
