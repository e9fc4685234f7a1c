"""The group of commands: each is imported when it is called, and an error is one line."""

from __future__ import annotations

import importlib
import os
from typing import Any

import click

from .. import __version__
from ..markup.suggest import suggest

COMMANDS = {
    "demo": "Run chains of processes on a cluster on this machine, pinned and unpinned.",
    "cluster": "Start a cluster on this machine, and print its URLs.",
    "where": "Show the node of a machineid.",
    "mint": "Print new machineids, optionally for one node.",
    "spread": "Show the balance over nodes, and what a change would move.",
    "check": "Look for mistakes in nginx and compose files.",
    "render": "Write the files of a proxy from a topology.",
    "log": "Count requests, errors and chains in a strict proxy's access log.",
    "probe": "Ask a live proxy whether affinity works.",
}
"""Each command's line in the help; its module, here, defines `command`."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and none for the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__package__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or raise with similar names."""
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"No such command {name!r}; {suggest(name, COMMANDS, 'command')}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an `AffinityError` becomes its message and the exit code 1."""
        # Loads requests and OWSLib, which the help does not need.
        from ..errors import AffinityError
        from .shared import in_terminal

        try:
            return super().invoke(ctx)
        except AffinityError as error:
            raise click.ClickException(in_terminal(error)) from error
        except ModuleNotFoundError as missing:
            if str(missing.name).startswith("pavics_affinity"):
                raise
            raise click.ClickException(
                f"this command needs the package {missing.name!r}, which is not installed; "
                "run: pip install 'pavics-affinity[cli,nginx,demo]'"
            ) from missing


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    invoke_without_command=True,
    no_args_is_help=True,
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.option(
    "--verbose", is_flag=True, help="With --version: also the versions of Python and of packages."
)
@click.pass_context
def group(ctx: click.Context, version: bool, verbose: bool) -> None:
    """Keep chains of WPS processes on the machine that holds their files.

    The exit code is 0 for success, 1 if a site or a file has a problem, 2 if the command
    was not understood or names a file that does not exist, and 3 if probe cannot tell.
    """
    if os.environ.get("NO_COLOR"):  # see no-color.org; rich does this itself
        ctx.color = False
    if version:
        click.echo(f"pavics-affinity, version {__version__}")
        if verbose:
            from ..display.report import versions

            for name, installed in versions():
                click.echo(f"{name}: {installed}")
        ctx.exit()
    if verbose:
        raise click.UsageError("--verbose needs --version")
    if ctx.invoked_subcommand is None:
        raise click.UsageError("give a command; --help lists them")
