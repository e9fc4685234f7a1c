"""The documents of a service with 100 processes, asked for and understood.

nginx serves what a real PyWPS wrote, so that the client's share of the time is all there is.
"""

from __future__ import annotations

from typing import Any

import owslib.wps

from pavics_affinity import Workflow

from .measure import in_turns, ratios
from .proxy import NODES, proxy
from .rows import Row, main, row

PROCESSES = 100


def rows(quick: bool) -> list[Row]:
    """Measure capabilities, one description and all descriptions."""
    rounds = 15 if quick else 60
    with proxy(documents()) as site, Workflow(topology=site.topology) as wf:
        headers = {"machineid": f"{wf.machineid}~{NODES[0]}"}
        theirs = owslib.wps.WebProcessingService(site.url, headers=headers)
        ours = wf.wps(site.url)
        assert len(ours.processes) == len(theirs.processes) == PROCESSES
        found = []
        for what, ask in (
            ("capabilities of 100 processes", lambda wps: wps.getcapabilities()),
            ("describeprocess, one process", lambda wps: wps.describeprocess("process_7")),
            ("describeprocess, all 100 processes", lambda wps: wps.describeprocess("all")),
        ):
            sides = {
                "ours": lambda ask=ask: ask(ours),
                "theirs": lambda ask=ask: ask(theirs),
            }
            took = in_turns(sides, rounds)
            pairs = ratios(took["ours"], took["theirs"])
            found.append(row(what, "OWSLib with the header by hand", pairs, "<=", 1.00))
    return found


def documents() -> dict[str, bytes]:
    """Have PyWPS write its documents, and name them as `proxy` wants them."""
    import pywps
    from werkzeug.test import Client

    pywps.configuration.load_configuration()
    pywps.configuration.CONFIG.set("logging", "level", "ERROR")
    client = Client(pywps.Service(processes=[_process(number) for number in range(PROCESSES)]))

    def document(query: str) -> bytes:
        answer = client.get(f"/wps?service=WPS&version=1.0.0&{query}")
        assert answer.status_code == 200, answer.data
        return answer.data

    return {
        "GetCapabilities": document("request=GetCapabilities"),
        "DescribeProcessprocess_7": document("request=DescribeProcess&identifier=process_7"),
        "DescribeProcessall": document("request=DescribeProcess&identifier=all"),
    }


def _process(number: int) -> Any:
    from pywps import FORMATS, ComplexInput, ComplexOutput, LiteralInput, LiteralOutput, Process

    return Process(
        lambda request, response: None,
        identifier=f"process_{number}",
        title=f"Process {number}",
        abstract="Cut a box out of a file, and take the mean of what is in it over time.",
        version="1.0",
        inputs=[
            ComplexInput("resource", "Resource", supported_formats=[FORMATS.NETCDF], max_occurs=9),
            *(
                LiteralInput(name, name, data_type="float", min_occurs=0)
                for name in ("lon0", "lon1", "lat0", "lat1")
            ),
            LiteralInput("frequency", "F", allowed_values=["day", "month", "year"], default="day"),
        ],
        outputs=[
            ComplexOutput("output", "Output", supported_formats=[FORMATS.NETCDF]),
            LiteralOutput("mean", "Mean", data_type="float"),
        ],
        store_supported=True,
        status_supported=True,
    )


if __name__ == "__main__":
    main(rows, __doc__)
