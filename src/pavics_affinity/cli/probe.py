"""``probe``: ask a live proxy whether it keeps a machineid on one node."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import InvalidRequest
from ..proxy.probe import Plan, Seen, Verdict, ask, judge
from .shared import in_terminal, json_option, wrap

_EXIT_CODES = {True: 0, False: 1, None: 3}
_MARKS = {True: "ok", False: "NO", None: "-"}


@click.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--header",
    metavar="NAME",
    help="Request header of the machineid. [default: what the proxy publishes, or machineid]",
)
@click.option(
    "--evidence",
    metavar="NAME",
    help="Response header that names the node, if the proxy publishes none.",
)
@click.option("--ids", default=5, help="Number of machineids.")
@click.option("--requests", default=3, help="Requests with each of them.")
@click.option("--timeout", default=5.0, help="Seconds for each request.")
@json_option
def command(
    urls: Sequence[str],
    header: str | None,
    evidence: str | None,
    ids: int,
    requests: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Ask a live proxy, as a client would, whether affinity works, and if not, why.

    The first URL, of a service, gets all the requests. The others get only those that
    show whether an id has the same node there. Only GETs are sent; nothing is executed.

    The exit code is 0 if affinity works, 1 if it does not, 2 if an argument is not valid,
    and 3 if probe cannot tell.
    """
    try:
        plan = Plan(tuple(urls), header, evidence, ids, requests, timeout)
    except InvalidRequest as bad:
        raise click.UsageError(in_terminal(bad)) from bad
    click.echo(
        f"Sending at most {plan.most} GET requests, one after the other; "
        "the machineids begin with 'probe-'",
        err=True,
    )
    seen = ask(plan)
    verdict = judge(seen)
    if as_json:
        click.echo(json.dumps(_as_object(seen, verdict)))
    else:
        _show(seen, verdict)
    sys.exit(_EXIT_CODES[verdict.works])


def _show(seen: Seen, verdict: Verdict) -> None:
    click.echo(f"{seen.first.url} ({seen.requests} requests)")
    longest = max(len(finding.name) for finding in verdict.findings)
    for finding in verdict.findings:
        head = f"  {_MARKS[finding.good]:2}  {finding.name:{longest}}  "
        click.echo(wrap(finding.words, head))
    result = {True: "works", False: "does not work", None: "is unknown"}[verdict.works]
    click.echo()
    click.echo(wrap(f"Affinity {result} ({verdict.kind}): {verdict.words}."))
    click.echo(wrap(f"Next: {verdict.next}."))


def _as_object(seen: Seen, verdict: Verdict) -> dict[str, Any]:
    return {
        "urls": [service.url for service in seen.services],
        "works": verdict.works,
        "verdict": verdict.kind,
        "words": verdict.words,
        "next": verdict.next,
        "header": seen.header,
        "requests": seen.requests,
        "ids": verdict.ids,
        "findings": [finding._asdict() for finding in verdict.findings],
    }
