"""``check``: look for mistakes in nginx and compose files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

import click

from ..errors import NginxConfigError
from ..markup.suggest import suggest
from ..proxy.check import RULES, SEVERITIES, Finding, check, count_files, find_files
from .shared import (
    addresses_of,
    in_terminal,
    json_option,
    note_host_names,
    resolve_option,
    topology_option,
    wrap,
)

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
_INDENT = " " * 4
_IN_JSON = ("rule", "severity", "file", "line", "message", "remedy")


def _known(_: click.Context, __: click.Parameter, rules: Sequence[str]) -> Sequence[str]:
    for rule in rules:
        if rule not in RULES:
            raise click.BadParameter(
                f"rule {rule!r} is unknown; {suggest(rule, RULES, 'rule')} "
                f"The rules are {', '.join(RULES)}"
            )
    return rules


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@topology_option("A topology file to compare the files with.")
@resolve_option
@click.option(
    "--env",
    metavar="FILE",
    multiple=True,
    help="File with values of template variables, as shell assignments. Can be repeated.",
)
@click.option(
    "--ignore",
    metavar="RULE",
    multiple=True,
    callback=_known,
    help="Leave out a rule. Can be repeated.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: Sequence[str],
    topology: str | None,
    resolve: bool,
    env: Sequence[str],
    ignore: Sequence[str],
    as_json: bool,
) -> None:
    """Look for mistakes in nginx and docker-compose files.

    A PATH is a file, a pattern, or a directory: one with nginx.conf and conf.d, the one
    above config/proxy, or a tree of components with templates. YAML files are read as
    docker-compose files.

    An error means that chains break, or that check cannot tell. A warning means that
    chains can break. A note is about something else. The exit code is 1 if there is an
    error.
    """
    try:
        find_files(paths)
    except NginxConfigError as error:
        raise click.UsageError(in_terminal(error)) from error
    names: list[str] = []

    def without_lookup(name: str) -> Sequence[str]:
        names.append(name)
        return ()

    lookup = addresses_of if resolve else without_lookup
    every = check(*paths, topology=topology, resolve=lookup, env=env)
    found = [each for each in every if each.rule not in ignore]
    if as_json:
        shown = [{name: getattr(each, name) for name in _IN_JSON} for each in found]
        click.echo(json.dumps(shown, indent=2))
    else:
        _show(found, paths)
    note_host_names(names)
    if any(each.severity == "error" for each in found):
        ctx.exit(1)


def _show(found: Sequence[Finding], paths: Sequence[str]) -> None:
    """Write one block for each rule; places with the same message share it."""
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
                click.echo(wrap(message, _INDENT))
            click.echo(wrap(f"fix: {remedy}", _INDENT))
        click.echo()
    click.echo(_total(found, paths))


def _total(found: Sequence[Finding], paths: Sequence[str]) -> str:
    if not found:
        files = count_files(paths)
        return f"no mistakes in {files} file{'s' * (files != 1)}"
    counts = {severity: sum(each.severity == severity for each in found) for severity in SEVERITIES}
    return ", ".join(
        f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count
    )
