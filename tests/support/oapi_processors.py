"""Processes of a pygeoapi node, loaded by its servers."""

from __future__ import annotations

import os
import time
from base64 import b64decode
from urllib.request import urlopen

from pygeoapi.process.base import BaseProcessor, ProcessorExecuteError

NODE = os.environ.get("OAPI_NODE", "")


def _metadata(identifier: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict:
    return {
        "version": "1.0.0",
        "id": identifier,
        "title": {"en": identifier},
        "description": {"en": identifier},
        "jobControlOptions": ["sync-execute", "async-execute"],
        "keywords": [identifier],
        "links": [],
        "inputs": {n: {"title": n, "schema": {"type": "string"}, "minOccurs": 0} for n in inputs},
        "outputs": {n: {"title": n, "schema": {"type": "object"}} for n in outputs},
        "example": {"inputs": {}},
    }


class _Processor(BaseProcessor):
    metadata_of: dict

    def __init__(self, definition: dict) -> None:
        super().__init__(definition, self.metadata_of)
        self.supports_outputs = True


class Where(_Processor):
    """Tell the node, after a while."""

    metadata_of = _metadata("where", ("delay",), ("node",))

    def execute(self, data, outputs=None):
        time.sleep(float(data.get("delay", 0)))
        return "application/json", {"node": NODE, "delay": data.get("delay", 0)}


class Fail(_Processor):
    """Fail."""

    metadata_of = _metadata("fail", ("message",), ("nothing",))

    def execute(self, data, outputs=None):
        raise ProcessorExecuteError(data.get("message", "no reason"))


class Raw(_Processor):
    """Give bytes as they are."""

    metadata_of = _metadata("raw", ("kilobytes",), ("bytes",))

    def execute(self, data, outputs=None):
        return "application/octet-stream", bytes(range(256)) * 4 * int(data.get("kilobytes", 1))


class Words(_Processor):
    """Count the words behind a link, whatever the status of the answer, or of a text or content."""

    metadata_of = _metadata("words", ("text",), ("count",))

    def execute(self, data, outputs=None):
        text = data["text"]
        if isinstance(text, dict) and "value" in text:  # with its encoding, as OGC 18-062r2 has it
            value, packed = text["value"], text.get("encoding") == "base64"
            text = b64decode(value).decode(errors="replace") if packed else value
        elif isinstance(text, dict):
            with urlopen(text["href"], timeout=60) as answer:  # a test's own URL
                text = answer.read().decode(errors="replace")
        return "application/json", {"count": len(text.split()), "given": data["text"]}


class Link(_Processor):
    """Give the results of a job by reference, as a service does that keeps its outputs."""

    metadata_of = _metadata("link", ("job",), ("file",))

    def execute(self, data, outputs=None):
        href = f"{os.environ['OAPI_URL']}/jobs/{data['job']}/results"
        return "application/json", {"file": {"href": href, "type": "application/octet-stream"}}
