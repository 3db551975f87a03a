"""`iaactl profile ...`: profiles as files."""

from __future__ import annotations

from pathlib import Path

import click

from iaactl.cli.output import Output
from iaactl.cli.params import DEVICE, PROFILE, json_option


@click.group()
def command() -> None:
    """List, validate, import and export profiles."""


@command.command("list", epilog="\b\nExample:\n  iaactl profile list")
@json_option
@click.pass_obj
def list_(output: Output, as_json: bool) -> None:
    """Show the profiles that can be named without a path."""
    from iaactl.profiles.load import load, names

    known = {name: (str(path), load(str(path)).description) for name, path in names().items()}
    if as_json:
        data = [{"name": n, "path": p, "description": d} for n, (p, d) in sorted(known.items())]
        output.document("iaactl.profiles/1", data)
        return
    width = max((len(name) for name in known), default=0)
    output.show(*(f"{name:<{width}}  {text}" for name, (_, text) in sorted(known.items())))


@command.command(epilog="\b\nExample:\n  iaactl profile validate mine.yaml")
@click.argument("profile", type=PROFILE, help="A file, a known name, or a preset.")
@json_option
@click.pass_obj
def validate(output: Output, profile: str, as_json: bool) -> None:
    """Check a profile by itself, without a machine; every problem with line and column."""
    from iaactl.profiles.load import load

    loaded = load(profile)
    if as_json:
        output.document("iaactl.profile/1", loaded.model_dump(mode="json", exclude_none=True))
        return
    output.show(f"{profile} is valid: {loaded.description or 'no description'}")


@command.command(epilog="\b\nExample:\n  iaactl profile schema > profile.schema.json")
@click.pass_obj
def schema(output: Output) -> None:
    """Print the JSON Schema of profiles, for editors and for checks elsewhere."""
    import json

    from iaactl.model.profile import Profile

    click.echo(json.dumps(Profile.model_json_schema(), indent=2))


@command.command(
    "import",
    epilog="\b\nExample:\n  accel-config save-config -s now.conf && iaactl profile import now.conf",
)
@click.argument("file", type=click.Path(path_type=Path), help="accel-config's JSON, - for stdin.")
@click.pass_obj
def import_(output: Output, file: Path) -> None:
    """Print the profile that a JSON file of accel-config describes."""
    from iaactl.cli.documents import read_text
    from iaactl.profiles.accel_config import read
    from iaactl.profiles.dump import dump

    click.echo(dump(read(read_text(file), str(file))), nl=False)


@command.command(
    epilog="\b\nExamples:\n  iaactl profile export > accel-config.conf\n"
    "  iaactl profile export --profile qemu-migration iax1"
)
@click.argument("devices", type=DEVICE, nargs=-1, help="Only these devices; default: all enabled.")
@click.option(
    "--profile",
    "profile_name",
    type=PROFILE,
    metavar="PROFILE",
    help="Export what this profile would make of the devices, not what they are.",
)
@click.option(
    "--inventory",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Use a document of `list --json` instead of this machine.",
)
@click.pass_obj
def export(
    output: Output, devices: tuple[str, ...], profile_name: str | None, file: Path | None
) -> None:
    """Print JSON that `accel-config load-config` of 3.5.3 and of 4.1.x loads."""
    from iaactl import runtime
    from iaactl.cli.documents import load_inventory
    from iaactl.cli.plan import refuse_unfit
    from iaactl.inventory import named
    from iaactl.model.device import Device
    from iaactl.planner import plan_profile
    from iaactl.planner.state import applied
    from iaactl.profiles.accel_config import write
    from iaactl.profiles.load import load

    inventory = load_inventory(file) if file else runtime.inventory()
    for name in devices:
        named(inventory, name)
    chosen: list[Device]
    if profile_name:
        plan = plan_profile(load(profile_name), inventory, title=f"profile {profile_name}")
        refuse_unfit(plan, here=file is None)
        parts = {part.device: part for part in plan.devices}
        chosen = [applied(d, parts[d.id].changes) for d in inventory.devices if d.id in parts]
    else:
        chosen = [d for d in inventory.devices if d.enabled or d.id in devices]
    click.echo(write(d for d in chosen if not devices or d.id in devices), nl=False)
