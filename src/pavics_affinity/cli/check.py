"""``check``: findings in nginx and compose files."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

import click

from ..errors import NginxConfigError
from ..proxy.check import RULES, SEVERITIES, Finding, check, find_files
from ..proxy.check.rules import listed
from .site import addresses_of

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_INDENT = " " * 4
_WIDEST = 100


def _known(_: click.Context, __: click.Parameter, rules: Sequence[str]) -> Sequence[str]:
    for rule in rules:
        if rule not in RULES:
            raise click.BadParameter(f"there is no rule {rule!r}; there are: {', '.join(RULES)}")
    return rules


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--topology", metavar="FILE", help="A topology file to hold the files against.")
@click.option(
    "--resolve",
    is_flag=True,
    help="Ask this machine how many addresses host names have; else one each.",
)
@click.option(
    "--ignore",
    metavar="RULE",
    multiple=True,
    callback=_known,
    help="Leave a rule out. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON list.")
@click.pass_context
def command(
    ctx: click.Context,
    paths: Sequence[str],
    topology: str | None,
    resolve: bool,
    ignore: Sequence[str],
    as_json: bool,
) -> None:
    """Look for mistakes in nginx and docker-compose files.

    A PATH is a file, a directory (nginx.conf and conf.d, or the directory above
    config/proxy) or a pattern; YAML is taken for docker-compose's.

    An error breaks chains, or check cannot tell; a warning can break them, and a note
    costs something else. The exit code is 1 if there is an error.
    """
    try:
        find_files(paths)
    except NginxConfigError as error:
        raise click.UsageError(str(error)) from error
    names: dict[str, None] = {}

    def not_asked(name: str) -> Sequence[str]:
        names[name] = None
        return ()

    lookup = addresses_of if resolve else not_asked
    found = [e for e in check(*paths, topology=topology, resolve=lookup) if e.rule not in ignore]
    if as_json:
        click.echo(json.dumps([_as_object(each) for each in found], indent=2))
    else:
        _show(found)
    if names:
        click.echo(
            f"note: {listed(names, 3)}: host names are taken to have one address each; --resolve "
            "asks this machine",
            err=True,
        )
    if any(each.severity == "error" for each in found):
        ctx.exit(1)


def _as_object(found: Finding) -> dict[str, object]:
    names = ("rule", "severity", "file", "line", "message", "remedy")
    values = asdict(found)
    return {name: values[name] for name in names}


def _show(found: Sequence[Finding]) -> None:
    """Write one block for each rule; places of which the same is true share the words."""
    ranks = list(SEVERITIES)
    ranked = sorted(found, key=lambda each: (ranks.index(each.severity), each.rule))
    for (severity, rule), group in groupby(ranked, key=lambda each: (each.severity, each.rule)):
        click.echo(
            f"{click.style(severity, fg=_COLOURS[severity], bold=True)}  "
            f"{click.style(rule, bold=True)}: {RULES[rule].summary}"
        )
        for remedy, alike in groupby(group, key=lambda each: each.remedy):
            for (file, message), same in groupby(alike, key=lambda each: (each.file, each.message)):
                lines = ", ".join(dict.fromkeys(str(each.line) for each in same))
                click.echo(f"  {file}:{lines}")
                click.echo(_wrapped(message))
            click.echo(_wrapped(f"fix: {remedy}"))
        click.echo()
    click.echo(_total(found))


def _wrapped(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        width=min(shutil.get_terminal_size().columns, _WIDEST),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        # What is to be copied stays in one piece.
        break_long_words=False,
        break_on_hyphens=False,
    )


def _total(found: Sequence[Finding]) -> str:
    if not found:
        return "nothing found"
    counts = {severity: sum(each.severity == severity for each in found) for severity in SEVERITIES}
    return ", ".join(
        f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count
    )
