"""One request through nginx: what routing, record and evidence add to it."""

from __future__ import annotations

import requests
from owslib.util import openURL

from pavics_affinity import Workflow

from .measure import in_turns, ratios, repeated
from .proxy import NODES, proxy
from .rows import Row, main, row

REQUESTS = 20  # a round: short enough for the machine to be the same on all sides


def rows(quick: bool) -> list[Row]:
    """Measure a GET of a dozen bytes on a kept connection."""
    with proxy() as site, requests.Session() as bare, Workflow(topology=site.topology) as wf:
        url = f"{site.url}?service=WPS&request=Ping"
        headers = {"machineid": f"{wf.machineid}~{NODES[0]}"}
        took = in_turns(
            {
                "ours": repeated(lambda: wf.session.get(url).content, REQUESTS),
                "bare": repeated(lambda: bare.get(url, headers=headers).content, REQUESTS),
                "openURL": repeated(lambda: openURL(url, headers=dict(headers)).read(), REQUESTS),
            },
            30 if quick else 150,
        )
        assert wf.node_known == "proved"
        assert len(wf.record) >= REQUESTS
    microseconds = [took_ / REQUESTS * 1e6 for took_ in took["ours"]]
    what = "one GET through nginx, record and evidence on"
    return [
        row(what, "bare requests.Session", ratios(took["ours"], took["bare"]), "<=", 1.10),
        row(what, "OWSLib openURL", ratios(took["ours"], took["openURL"]), "<=", 0.85),
        row("the same, by itself", "-", microseconds, unit="us"),
    ]


if __name__ == "__main__":
    main(rows, __doc__)
