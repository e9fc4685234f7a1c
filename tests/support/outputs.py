"""Files of kinds that the cluster's processes do not make, beside an output of theirs."""

from __future__ import annotations

import json


def file_beside_an_output(cluster, wf, name, content):
    """Let a workflow's node make an output, put a file beside it, and return the file's URL."""
    wps = wf.wps(cluster.url("flyingpigeon"))
    url = wps.execute("produce", [("megabytes", "0.001")]).wait().output("output").reference
    folder, _, made = url.rpartition("/")
    [path] = cluster.directory.rglob(f"{folder.rpartition('/')[2]}/{made}")
    (path.parent / name).write_bytes(content)
    return f"{folder}/{name}"


def elevation(value):
    """Return a GeoTIFF of one value."""
    import numpy as np
    from affine import Affine
    from rasterio.io import MemoryFile

    place = {"crs": "EPSG:4326", "transform": Affine(1, 0, -80, 0, -1, 50)}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=64, width=64, count=1, dtype="float32", **place
        ) as raster:
            raster.write(np.full((64, 64), value, "float32"), 1)
        return memory.read()


def areas(number):
    """Return GeoJSON of one area, which has a number."""
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    area = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"number": number}, "geometry": area}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
