"""A pytest plugin: the test modules of others see our classes under the names of theirs.

Only names in the test modules are replaced; the libraries stay as they are. With
``UPSTREAM_URL``, birdy's tests ask that service instead of one on port 5000.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import owslib.ogcapi.processes
import owslib.wps


def replacements() -> dict[Any, Any]:
    """Return ours by theirs."""
    import birdy

    from pavics_affinity.clients.birdy.client import WPSClient
    from pavics_affinity.clients.ogcapi.service import Processes
    from pavics_affinity.clients.wps.execution import Execution
    from pavics_affinity.clients.wps.service import WebProcessingService

    return {
        birdy.WPSClient: WPSClient,
        owslib.wps.WebProcessingService: WebProcessingService,
        owslib.wps.WPSExecution: Execution,
        owslib.ogcapi.processes.Processes: Processes,
    }


def pytest_configure(config: Any) -> None:
    url = os.environ.get("UPSTREAM_URL")
    if url:
        sys.path.insert(0, str(Path(config.args[0]).resolve()))
        import common

        common.URL_EMU = url


def pytest_collection_modifyitems(items: list[Any]) -> None:
    if not os.environ.get("UPSTREAM_OURS"):
        return
    ours = replacements()
    for module in {item.module for item in items}:
        _replace(module, ours)


def _replace(module: types.ModuleType, ours: dict[Any, Any]) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and value in ours:
            setattr(module, name, ours[value])
        elif value is owslib:
            # For tests that say owslib.wps.WebProcessingService: a view of the package.
            view, wps = _copy(owslib), _copy(owslib.wps)
            view.wps = wps  # type: ignore[attr-defined]  # a module like any
            _replace(wps, ours)
            setattr(module, name, view)


def _copy(module: types.ModuleType) -> types.ModuleType:
    made = types.ModuleType(module.__name__)
    vars(made).update(vars(module))
    return made
