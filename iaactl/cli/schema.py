"""`iaactl schema`: the JSON Schema of every document that `--json` prints."""

from __future__ import annotations

from typing import Any

import click

from iaactl.cli.output import Output

NAMES = (
    "inventory",
    "object",
    "work-queues",
    "plan",
    "verdict",
    "result",
    "selftest",
    "diagnosis",
    "code",
    "bench",
    "codecs",
    "capture",
    "profile",
    "profiles",
    "machines",
    "error",
)


def document_schema(name: str) -> dict[str, Any]:
    """JSON Schema of the envelope `iaactl.NAME/1` with its data."""
    from pydantic import TypeAdapter

    data = TypeAdapter(_data_type(name)).json_schema(mode="serialization")
    definitions = data.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"iaactl.{name}/1",
        "type": "object",
        "required": ["schema", "iaactl", "data"],
        "additionalProperties": False,
        "properties": {
            "schema": {"const": f"iaactl.{name}/1"},
            "iaactl": {"type": "string", "description": "version of iaactl that wrote it"},
            "data": data,
        },
        "$defs": definitions,
    }


def _data_type(name: str) -> Any:
    from iaactl.applier import ApplyResult
    from iaactl.cli.documents import (
        ErrorDocument,
        MachineEntry,
        ObjectDocument,
        ProfileEntry,
        VerdictDocument,
        WorkQueuesDocument,
    )
    from iaactl.doctor.diagnosis import Diagnosis
    from iaactl.model.codec_report import CodecReport
    from iaactl.model.codes import Code
    from iaactl.model.device import Inventory
    from iaactl.model.plan import Plan
    from iaactl.model.profile import Profile
    from iaactl.model.report import BenchReport
    from iaactl.multifd.capture import CaptureSummary
    from iaactl.selftest.report import SelftestReport

    return {
        "inventory": Inventory,
        "object": ObjectDocument,
        "work-queues": WorkQueuesDocument,
        "plan": Plan,
        "verdict": VerdictDocument,
        "result": ApplyResult,
        "selftest": SelftestReport,
        "diagnosis": Diagnosis,
        "code": Code,
        "bench": BenchReport,
        "codecs": CodecReport,
        "capture": CaptureSummary,
        "profile": Profile,
        "profiles": list[ProfileEntry],
        "machines": list[MachineEntry],
        "error": ErrorDocument,
    }[name]


@click.command(
    epilog="""\b
Examples:
  iaactl schema plan > plan.schema.json
  iaactl list --json | check-jsonschema --schemafile <(iaactl schema inventory) -
"""
)
@click.argument("name", type=click.Choice(NAMES), help="The document, as in `iaactl.NAME/1`.")
@click.pass_obj
def command(output: Output, name: str) -> None:
    """Print the JSON Schema of a document; the number in its name changes when a key goes."""
    import json

    click.echo(json.dumps(document_schema(name), indent=2))
