"""``render``: write the files of a proxy from a topology."""

from __future__ import annotations

import json

import click

from ..protocol import DEFAULT_EVIDENCE
from ..proxy.render import COMPOSE_FILE, MAIN_FILE, Layout, Style, named_hosts, render
from ..proxy.write import Changes, compare, write
from ..topology import Topology
from .shared import existing_file, json_option


@click.command()
@click.argument("topology", metavar="TOPOLOGY", callback=existing_file)
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    required=True,
    help="Directory to write to; created if missing.",
)
@click.option(
    "--style",
    type=click.Choice(["strict", "plain", "birdhouse"]),
    default="strict",
    help="strict: a key may name its node. plain: only a hash over the header. birdhouse: strict, "
    "as a component of birdhouse-deploy.",
)
@click.option(
    "--layout",
    type=click.Choice(["inner", "outer"]),
    help="Place of a component: behind Twitcher, or in front of several stacks.  [default: inner]",
)
@click.option(
    "--compose",
    metavar="NAME",
    default=COMPOSE_FILE,
    help="Name of the compose file, below DIR.",
)
@click.option("--no-compose", is_flag=True, help="Do not write a compose file.")
@click.option(
    "--diff", "show_diff", is_flag=True, help="Show what would change, and write nothing."
)
@click.option("--force", is_flag=True, help="Replace files that render did not write.")
@json_option
def command(
    topology: str,
    output: str,
    style: Style,
    layout: Layout | None,
    compose: str,
    no_compose: bool,
    show_diff: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write nginx's and docker-compose's files from a TOPOLOGY file.

    In the strict style, no other node answers for a node that is down: its requests get
    a 502 until it is back, even from clients without this library.

    Files that render did not write, or that were edited since, are not changed.
    """
    site = Topology.load(topology)
    if layout is not None and style != "birdhouse":
        raise click.UsageError("--layout needs --style birdhouse")
    files = render(site, style, compose=None if no_compose else compose, layout=layout or "inner")
    changes = compare(files, output) if show_diff else write(files, output, force=force)
    if as_json:
        found = changes._asdict()
        del found["replaced"]
        click.echo(json.dumps({"style": style, "done": not show_diff, **found}))
        return
    if show_diff:
        click.echo(changes.diff or "nothing would change\n", nl=False)
    else:
        _show(changes, output)
    notes = (
        _component_notes(site, layout or "inner")
        if style == "birdhouse"
        else _notes(site, style, changes, compose=not no_compose)
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if not show_diff and (changes.written or changes.removed):
        click.echo(f"next: {_ADD_IT if style == 'birdhouse' else _next(output, changes)}", err=True)


def _show(changes: Changes, output: str) -> None:
    for verb, names in (("wrote", changes.written), ("removed", changes.removed)):
        for name in names:
            click.echo(f"{verb} {output.rstrip('/')}/{name}")
    if not changes.written and not changes.removed:
        click.echo("nothing has changed")


def _notes(site: Topology, style: Style, changes: Changes, *, compose: bool) -> list[str]:
    strict = style == "strict"
    services = site.services
    unnamed = [each.name for each in services if each.url is None and not each.publish]
    named = named_hosts(site) if strict or site.evidence else []
    hosts = {each.name: str(each.listen or "").rpartition(":")[0] for each in services}
    anywhere = {"", "*", "0.0.0.0", "[::]"}  # noqa: S104 - compared, nothing is bound
    bound = [name for name, host in hosts.items() if host not in anywhere]
    notes = [
        (
            strict and site.proxy != "strict",
            'the topology says proxy = "plain", and this proxy is strict; write proxy = "strict" '
            "into the file, so that clients that read it name their node",
        ),
        (
            strict and site.evidence is None,
            "the topology has no evidence, and this proxy names the node that answered; write "
            f'evidence = "{DEFAULT_EVIDENCE}" into the file, so that clients that read it check it',
        ),
        (
            not strict and site.proxy == "strict",
            'the topology says proxy = "strict", and this proxy is plain: clients that read the '
            'file would name nodes that it does not know; write proxy = "plain"',
        ),
        (
            strict and unnamed,
            f"{', '.join(unnamed)}: no url and no publish, so the document gives clients the port "
            "on which nginx listens; if users connect to another port, write url",
        ),
        (
            named,
            f"{', '.join(named)}: nginx shows addresses, so an answer to a bare key has no "
            "evidence there; give addresses instead of names",
        ),
        (
            compose and bound,
            f"{', '.join(bound)}: listen names an address, which a container does not have; with "
            "docker-compose give only the port, otherwise use --no-compose",
        ),
        (
            compose and MAIN_FILE in changes.replaced,
            f"a running container still sees the old {MAIN_FILE}, which is mounted as a single "
            "file: docker-compose up -d --force-recreate proxy",
        ),
    ]
    return [text for applies, text in notes if applies] + [
        f"{name} was not written by render, but nginx reads it; if it serves the same "
        "services, move it away"
        for name in changes.foreign
    ]


_ADD_IT = (
    "write export PAVICS_AFFINITY_DIR=DIR into env.local, and DIR at the end of "
    "BIRDHOUSE_EXTRA_CONF_DIRS; see the manual's page on birdhouse-deploy"
)


def _component_notes(site: Topology, layout: Layout) -> list[str]:
    notes = []
    if site.proxy != "strict":
        notes.append('this proxy is strict; write proxy = "strict" into the topology')
    if layout == "inner" and site.evidence is not None:
        notes.append(
            "Twitcher removes the evidence from answers; remove evidence from the topology that "
            "clients read"
        )
    return notes


def _next(output: str, changes: Changes) -> str:
    first = not changes.replaced and not changes.unchanged
    start = "start the proxy" if first else "nginx -t; nginx -s reload"
    return f"pavics-affinity check {output}; {start}; pavics-affinity probe URL"
