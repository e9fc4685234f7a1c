"""rooki's client if it is installed; else a small one that does what rooki's does.

rooki needs a birdy below 0.9, so it does not work with the birdy of these tests.
"""

from __future__ import annotations

import tempfile
from typing import Any

import birdy
import requests
from lxml import etree


def rook_class(monkeypatch: Any, url: str) -> Any:
    """Return the class; rooki asks a service as it is imported, by default one far away."""
    monkeypatch.setenv("ROOK_URL", url)
    try:
        from rooki.client import Rooki
    except ImportError:
        return Rook
    return Rooki


class Rook(birdy.WPSClient):
    """Takes other arguments than birdy's, and wraps what birdy returns."""

    def __init__(self, url=None, mode="async", output_dir=None, headers=None, lineage=True):
        self._mode, self.output_dir = mode, output_dir  # birdy has a _mode, too
        super().__init__(url, progress=mode == "async", headers=headers, lineage=lineage)

    @property
    def mode(self):
        return self._mode

    def _execute(self, pid, **inputs):
        try:
            response = super()._execute(pid, **inputs)
        except Exception:  # noqa: BLE001 - as rooki
            raise RuntimeError("execution failed") from None
        return Result(response, output_dir=self.output_dir)


class Result:
    """Fetches its files by requests and pymetalink."""

    def __init__(self, response, output_dir=None):
        self.response = response
        self.output_dir = tempfile.mkdtemp(dir=output_dir)

    @property
    def url(self):
        return self.response.get()[0]

    @property
    def xml(self):
        return requests.get(self.url, timeout=10).text

    @property
    def num_files(self):
        return len(list(etree.fromstring(self.xml.encode()).iter("{*}file")))

    def download(self):
        import metalink.download

        try:
            return metalink.download.get(self.url, self.output_dir, segmented=False)
        except Exception:  # noqa: BLE001 - as rooki
            return []

    def datasets(self):
        import xarray

        try:
            return [xarray.open_dataset(file) for file in self.download()]
        except Exception:  # noqa: BLE001 - as rooki
            return []
