"""WPS as people speak it without this library: requests, and the header by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence

import requests
from owslib.etree import etree
from owslib.wps import ComplexDataInput, WPSExecution


def headers(machineid: str | None) -> dict[str, str]:
    return {} if machineid is None else {"machineid": machineid}


def execute(
    url: str,
    identifier: str,
    inputs: Sequence[tuple[str, str | ComplexDataInput]] = (),
    *,
    machineid: str | None = None,
    output: Sequence[tuple[str, bool]] | None = None,
    mode: str = "sync",
    timeout: float = 60,
) -> WPSExecution:
    """POST an Execute; return OWSLib's reading of the answer."""
    execution = WPSExecution(version="1.0.0", url=url)
    body = execution.buildRequest(
        identifier, list(inputs), output=list(output) if output else None, mode=mode
    )
    answer = requests.post(
        url, data=etree.tostring(body), headers=headers(machineid), timeout=timeout
    )
    execution.parseResponse(etree.fromstring(answer.content))
    return execution


def poll(execution: WPSExecution, machineid: str | None, *, timeout: float = 60) -> WPSExecution:
    """Fetch the status document until the execution has ended."""
    end = time.monotonic() + timeout
    while not execution.isComplete():
        assert time.monotonic() < end, execution.status
        time.sleep(0.05)
        try:
            document = etree.fromstring(get(execution.statusLocation, machineid).content)
        except (etree.ParseError, requests.exceptions.ChunkedEncodingError):
            continue  # PyWPS rewrites it in place
        execution.parseResponse(document)
    return execution


def get(url: str, machineid: str | None = None, **more: str) -> requests.Response:
    return requests.get(url, headers=headers(machineid) | more, timeout=30)


def reference(execution: WPSExecution, identifier: str = "output") -> str:
    """Return the URL of an output."""
    assert execution.isSucceded(), [error.text for error in execution.errors]
    [output] = [item for item in execution.processOutputs if item.identifier == identifier]
    return str(output.reference)


def errors(execution: WPSExecution) -> str:
    return " ".join(str(error.text) for error in execution.errors)


def value(execution: WPSExecution, identifier: str) -> str:
    assert execution.isSucceded(), errors(execution)
    [output] = [item for item in execution.processOutputs if item.identifier == identifier]
    return str(output.data[0])


def node_of(url: str, machineid: str | None) -> str:
    """Ask the process ``echo`` which node it runs on."""
    return value(execute(url, "echo", [("text", "where")], machineid=machineid), "node")
