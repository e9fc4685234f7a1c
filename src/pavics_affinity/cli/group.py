"""The group of commands; a command's module is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMANDS = {
    "demo": "Run chains on a site of real nodes and show where each landed.",
    "cluster": "Keep a site of real nodes up and print its URLs.",
}


class LazyGroup(click.Group):
    """Knows its commands' names and help; imports a module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return it."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours is one line on standard error."""
        from ..errors import AffinityError

        try:
            return super().invoke(ctx)
        except AffinityError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pavics-affinity")
def group() -> None:
    """Keep a chain of WPS processes on the machine that holds its files."""
