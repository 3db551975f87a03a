"""Kernel arguments that decide about the IOMMU, as the kernel reads them: left to right."""

from __future__ import annotations

from dataclasses import dataclass

_IOMMU_WORDS = ("on", "off", "sm_on", "sm_off")


@dataclass(frozen=True, slots=True)
class IommuArguments:
    """What `intel_iommu=` and its kin add up to; None where nothing was said."""

    on: bool | None = None
    scalable: bool | None = None
    off_by: str | None = None
    """The argument that switches the IOMMU off."""
    stray: tuple[str, ...] = ()
    """Words of `intel_iommu=` that stand as arguments of their own, where they mean nothing."""
    misspelt: tuple[str, ...] = ()
    no5lvl: bool = False


def words(text: str) -> list[str]:
    """Arguments of a command line; quotes keep blanks together. What follows `--` is init's."""
    found, word, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character.isspace() and not quoted:
            if word:
                found.append(word)
            word = ""
        else:
            word += character
    if word:
        found.append(word)
    return found[: found.index("--")] if "--" in found else found


def iommu_arguments(text: str) -> IommuArguments:
    """Source: drivers/iommu/intel/iommu.c (intel_iommu_setup), arch/x86 (iommu_setup, no5lvl)."""
    on = scalable = off_by = None
    stray, misspelt = [], []
    arguments = words(text)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "intel_iommu":
            for word in value.split(","):
                if word in ("on", "off"):
                    on = word == "on"
                    off_by = argument if word == "off" else None
                elif word in ("sm_on", "sm_off"):
                    scalable = word == "sm_on"
        elif key == "iommu" and value.split(",")[0] == "off":
            on, off_by = False, argument
        elif argument in _IOMMU_WORDS[2:]:
            stray.append(argument)
        elif argument in ("nolvl5", "no5level", "no-5lvl", "nola57", "no5lv"):
            misspelt.append(argument)
    return IommuArguments(
        on=on,
        scalable=scalable,
        off_by=off_by,
        stray=tuple(stray),
        misspelt=tuple(misspelt),
        no5lvl="no5lvl" in arguments,
    )
