"""Applications of services that need special treatment."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def raven(files: list[str]) -> Any:
    """Make Raven, even without GDAL's bindings, which have no wheels on PyPI.

    One of its processes uses them, ``terrain-analysis``, and none of the chains.
    """
    try:
        import osgeo.gdal  # noqa: F401
    except ImportError:
        gdal = ModuleType("osgeo.gdal")
        gdal.Dataset = gdal.DEMProcessing = None  # type: ignore[attr-defined]
        sys.modules |= {"osgeo": ModuleType("osgeo"), "osgeo.gdal": gdal}
    from raven.wsgi import create_app

    return create_app(files)
