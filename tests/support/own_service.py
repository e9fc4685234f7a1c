"""A PyWPS application as users and birdhouse's services make theirs."""

from __future__ import annotations

import os
from typing import Any

from pywps import ComplexOutput, Format, LiteralInput, Process, Service


class Shout(Process):
    def __init__(self) -> None:
        super().__init__(
            self._run,
            identifier="shout",
            title="Shout",
            inputs=[LiteralInput("text", "Text", data_type="string")],
            outputs=[ComplexOutput("output", "It", supported_formats=[Format("text/plain")])],
            store_supported=True,
            status_supported=True,
        )

    def _run(self, request: Any, response: Any) -> Any:
        response.outputs["output"].data = request.inputs["text"][0].data.upper()
        return response


def create_app(files: list[str]) -> Service:
    """Return the application with these configuration files."""
    return Service([Shout()], files)


def create_nothing(files: list[str]) -> Service:
    """Fail, in the process of a node."""
    raise OSError(f"no licence in {os.fspath(files[0])}")
