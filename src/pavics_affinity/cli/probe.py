"""``probe``: asks a live proxy whether it keeps a machineid on one node."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from ..proxy.probe import Plan, Seen, Verdict, ask, judge

_NARROWEST, _WIDEST = 60, 100
_MARKS = {True: "ok", False: "NO", None: "-"}


@click.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--header",
    metavar="NAME",
    help="Request header of the machineid. [default: as the proxy publishes, else machineid]",
)
@click.option(
    "--evidence",
    metavar="NAME",
    help="Response header that names the node, where the proxy publishes none.",
)
@click.option("--ids", default=5, show_default=True, help="How many machineids.")
@click.option("--requests", default=3, show_default=True, help="Requests with each.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds for each request.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(
    urls: Sequence[str],
    header: str | None,
    evidence: str | None,
    ids: int,
    requests: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Ask a live proxy, as a client would, whether affinity works, and why not.

    The first URL, a service's, is asked everything; further ones, whether an id has the
    same node there. Only GETs are sent, and nothing is executed.

    The exit code is 0 if it works, and 1 if it does not, or if that cannot be told.
    """
    plan = Plan(tuple(urls), header, evidence, ids, requests, timeout)
    click.echo(
        f"Sending at most {plan.most} GET requests, one after the other; "
        "the machineids begin with 'probe-'",
        err=True,
    )
    seen = ask(plan)
    verdict = judge(seen)
    if as_json:
        click.echo(json.dumps(_told(seen, verdict)))
    else:
        _show(seen, verdict)
    sys.exit(0 if verdict.works else 1)


def _show(seen: Seen, verdict: Verdict) -> None:
    click.echo(f"{seen.first.url} ({seen.requests} requests)")
    longest = max(len(finding.name) for finding in verdict.findings)
    for finding in verdict.findings:
        head = f"  {_MARKS[finding.good]:2}  {finding.name:{longest}}  "
        click.echo(_wrapped(head, finding.words))
    result = {True: "works", False: "does not work", None: "cannot be told"}[verdict.works]
    click.echo()
    click.echo(_wrapped("", f"Affinity {result} ({verdict.kind}): {verdict.words}."))
    click.echo(_wrapped("", f"Next: {verdict.next}."))


def _wrapped(head: str, words: str) -> str:
    return textwrap.fill(
        words,
        width=max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST)),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # A URL, or a line to copy, is of use in one piece only.
        break_long_words=False,
        break_on_hyphens=False,
    )


def _told(seen: Seen, verdict: Verdict) -> dict[str, Any]:
    return {
        "urls": [service.url for service in seen.services],
        "works": verdict.works,
        "verdict": verdict.kind,
        "words": verdict.words,
        "next": verdict.next,
        "header": seen.header,
        "requests": seen.requests,
        "ids": verdict.ids,
        "findings": [
            {"name": finding.name, "good": finding.good, "words": finding.words}
            for finding in verdict.findings
        ],
    }
