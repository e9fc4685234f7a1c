"""What the chains work on, made so that their answers are known."""

from __future__ import annotations

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import xarray as xr

_WORDS = "the wind and the rain and the wind"
_FROST, _WARM = 40, 22  # days below zero; a day in a wave is above both thresholds
_WAVES = ((180, 184), (210, 215))  # days of the year

ANSWERS: dict[str, Any] = {
    "heat_waves": len(_WAVES),
    "frost_days": _FROST,
    "watershed": [8, 2],  # cells whose centres are in the outline, and its basins
    "metadata": True,
    "words": dict(Counter(_WORDS.split())),
    "copies": [True, True],
}


def write(directory: Path) -> None:
    """Write a year of daily temperatures on a grid of one degree, and a text."""
    day = np.arange(365)
    nights = np.where(day < _FROST, -5.0, 8.0)
    for first, end in _WAVES:
        nights[first:end] = _WARM
    for name, values in (("tasmin", nights), ("tasmax", nights + 8)):
        _dataset(name, values).to_netcdf(directory / f"{name}.nc")
    (directory / "words.txt").write_text(_WORDS)


def _dataset(name: str, celsius: Any) -> xr.Dataset:
    lat, lon = np.arange(44.0, 50.0), np.arange(-76.0, -70.0)
    values = np.broadcast_to((celsius + 273.15)[:, None, None], (365, lat.size, lon.size))
    cell = "minimum" if name == "tasmin" else "maximum"
    axes = {
        "time": ("time", np.arange(365), {"units": "days since 1958-01-01", "axis": "T"}),
        "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    attributes = {
        "units": "K",
        "standard_name": "air_temperature",
        "cell_methods": f"time: {cell} within days",
    }
    data = {name: (("time", "lat", "lon"), values.astype("float32"), attributes)}
    return xr.Dataset(data, coords=axes)


# ---- two basins, one upstream of the other, as Raven asks PAVICS's GeoServer for them ----

_CAPABILITIES = """<WFS_Capabilities version="2.0.0" xmlns="http://www.opengis.net/wfs/2.0"
xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink">
<ows:OperationsMetadata><ows:Operation name="GetFeature"><ows:DCP><ows:HTTP>
<ows:Get xlink:href="{url}"/><ows:Post xlink:href="{url}"/></ows:HTTP></ows:DCP></ows:Operation>
</ows:OperationsMetadata><FeatureTypeList/></WFS_Capabilities>"""


def _basin(number: int, downstream: int, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 45.5], [east, 45.5], [east, 47.5], [west, 47.5], [west, 45.5]]
    properties = {"HYBAS_ID": number, "NEXT_DOWN": downstream, "MAIN_BAS": 1, "SUB_AREA": 1.0}
    return {
        "type": "Feature",
        "id": f"basin.{number}",
        "properties": properties | {"id": str(number), "COAST": 0, "LAKE": 0},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


_BASINS = [_basin(1, 0, -73.5, -71.5), _basin(2, 1, -75.5, -73.5)]


class GeoServer(BaseHTTPRequestHandler):
    """Answers a WFS's GetCapabilities; POST for the basin at a point, GET for all of a river."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        if "getcapabilities" in self.path.lower():
            url = f"http://{host}/geoserver/wfs"
            self._answer(_CAPABILITIES.format(url=url), "text/xml")
        else:
            self._features(_BASINS)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._features(_BASINS[:1])

    def _features(self, features: list[dict[str, Any]]) -> None:
        collection = {"type": "FeatureCollection", "features": features}
        self._answer(json.dumps(collection), "application/json")

    def _answer(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def geoserver() -> str:
    """Start it, for as long as this program runs, and return its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), GeoServer)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/geoserver/"
