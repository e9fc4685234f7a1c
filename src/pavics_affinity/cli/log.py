"""``log``: count what is in a strict proxy's access log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import AffinityError
from ..proxy.accesslog import AccessLog, Row, prometheus_text, read_access_log
from ..proxy.write import write_whole
from ..topology import Topology
from .shared import json_option, topology_option, wrap


def _existing(_: click.Context, __: click.Parameter, paths: Sequence[str]) -> Sequence[str]:
    for path in paths:
        if path != "-" and not Path(path).is_file():
            raise click.BadParameter(f"{path!r} is not a file")
    return paths


@click.command()
@click.argument("paths", metavar="LOG...", nargs=-1, required=True, callback=_existing)
@topology_option("Also show the nodes and services of a topology file that have no requests.")
@click.option(
    "--prometheus",
    metavar="FILE",
    help="Write the numbers to FILE for node_exporter's textfile collector, and no text.",
)
@json_option
def command(
    paths: Sequence[str], topology: str | None, prometheus: str | None, as_json: bool
) -> None:
    """Count requests, errors and chains by node and service in a strict proxy's access log.

    A LOG is an access log of the proxy that render writes, also compressed by gzip; "-" is
    standard input. Up to 4,096 chains are counted exactly, and more are estimated to 1.6 %.

    The exit code is 1 if no line could be read.
    """
    log = read_access_log(paths, None if topology is None else Topology.load(topology))
    _note(log)
    if log.damaged and log.damaged == log.lines:
        raise click.ClickException(
            "no line could be read; give the access log of a strict proxy that render wrote, "
            "which has a line of JSON for each request"
        )
    if prometheus is not None:
        path = Path(prometheus)
        try:
            write_whole(path.parent, {path.name: prometheus_text(log)})
        except OSError as bad:
            raise AffinityError(
                f"cannot write {prometheus!r}: {bad}. The file is as it was before. "
                "Give one in a directory that exists and that you may write to"
            ) from None
    if as_json:
        click.echo(json.dumps(_as_object(log)))
    elif prometheus is None:
        _show(log)


def _note(log: AccessLog) -> None:
    for named in log.named:
        click.echo(f"damaged: {named}", err=True)
    more = log.damaged - len(log.named)
    if more:
        click.echo(f"damaged: {more:,} more lines", err=True)
    if log.uncounted:
        click.echo(
            f"note: {log.uncounted:,} requests are counted only in the total; the log names more "
            f"than {len(log.rows)} pairs of node and service",
            err=True,
        )


def _as_object(log: AccessLog) -> dict[str, Any]:
    return {
        "lines": log.lines,
        "damaged": log.damaged,
        "first": log.first and log.first.isoformat(),
        "last": log.last and log.last.isoformat(),
        "total": _row_as_object(log.total),
        "rows": [
            {"node": node, "service": service} | _row_as_object(row)
            for (node, service), row in log.rows.items()
        ],
    }


def _row_as_object(row: Row) -> dict[str, Any]:
    return {
        "requests": row.requests,
        "errors": row.errors,
        "statuses": {str(status): count for status, count in sorted(row.statuses.items())},
        "unpinned": row.unpinned,
        "chains": len(row.chains),
        "chains_exact": row.chains.exact,
    }


def _show(log: AccessLog) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in ("node", "service", "requests", "errors", "unpinned", "chains"):
        table.add_column(head, justify="left" if head in {"node", "service"} else "right")
    for (node, service), row in sorted(log.rows.items(), key=lambda each: str(each[0])):
        table.add_row(node or "-", service or "-", *_cells(row))
    table.add_section()
    table.add_row("all", "", *_cells(log.total))
    Console(markup=False, highlight=False, emoji=False).print(table)
    if log.first and log.last:
        click.echo(f"{log.lines:,} lines, {log.first.isoformat()} to {log.last.isoformat()}.")
    if any(node is None or service is None for node, service in log.rows):
        click.echo(
            wrap('"-": nginx answered without a node, or the log does not say which it was.')
        )


def _cells(row: Row) -> list[str]:
    statuses = ", ".join(
        f"{status}: {count:,}" for status, count in sorted(row.statuses.items()) if status >= 400
    )
    return [
        f"{row.requests:,}",
        f"{row.errors:,} ({statuses})" if statuses else "0",
        f"{row.unpinned:,}",
        f"{'' if row.chains.exact else 'about '}{len(row.chains):,}",
    ]
