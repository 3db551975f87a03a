"""`iaactl completion SHELL`: the script a shell sources."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


def script(shell: str, group: click.Command) -> str:
    """The completion script of one shell for the whole command."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(group, {}, "iaactl", "_IAACTL_COMPLETE").source().rstrip("\n") + "\n"


@click.command(
    epilog="""\b
Examples:
  iaactl completion bash > /etc/bash_completion.d/iaactl
  iaactl completion zsh > "${fpath[1]}/_iaactl"
  iaactl completion fish > ~/.config/fish/completions/iaactl.fish
"""
)
@click.argument("shell", type=click.Choice(SHELLS), help="The shell to complete in.")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell; device, queue and profile names are completed."""
    click.echo(script(shell, ctx.find_root().command), nl=False)
