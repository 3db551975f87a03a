"""Profiles as YAML text."""

from __future__ import annotations

import io

from ruamel.yaml import YAML

from iaactl.model.profile import Profile


def dump(profile: Profile) -> str:
    """YAML that loads as the same profile; fields that hold their default are left out."""
    yaml = YAML(pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 100
    data = {"version": profile.version, **profile.model_dump(exclude_defaults=True)}
    for device in data.get("devices", ()):
        for group in device.get("groups", ()):
            for wq in group.get("wqs", ()):
                if "access" in wq and "mode" in wq["access"]:
                    wq["access"]["mode"] = f"{wq['access']['mode']:04o}"
    buffer = io.StringIO()
    yaml.dump(data, buffer)
    return buffer.getvalue()
