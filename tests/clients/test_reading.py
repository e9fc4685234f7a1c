"""Each row of the manual's table "how do I read this output with ..." does what it says."""

from __future__ import annotations

import re
import subprocess
import webbrowser

import fiona
import geopandas
import netCDF4
import numpy as np
import pandas as pd
import pytest
import rasterio
import requests

from pavics_affinity import Node, Service, Topology, Workflow
from pavics_affinity.errors import InvalidRequest, OutOfScope, OutputUnavailable
from support.dap import DapServer
from support.manual import text_of
from support.outputs import areas, elevation, file_beside_an_output

BOX = {"lon0": "-100", "lon1": "-60", "lat0": "30", "lat1": "60"}
LIBRARIES = {
    "netCDF4": netCDF4,
    "rasterio": rasterio,
    "geopandas": geopandas,
    "fiona": fiona,
    "pandas": pd,
    "webbrowser": webbrowser,
}


def rows():
    """Return the code of the table by tool."""
    text = text_of("docs/howto/reading.md")
    return dict(re.findall(r"^\| ([^|]+?) \| `([^|]+)` \|", text, re.MULTILINE))


def run(tool, wf, **names):
    found = {"wf": wf, **LIBRARIES, **names}
    exec(rows()[tool], found)
    return found


def subset(site, wf):
    malleefowl, flyingpigeon = (wf.wps(site.url(name)) for name in ("malleefowl", "flyingpigeon"))
    got = malleefowl.execute("download", [("resource", site.sample_url)]).wait()
    [path] = got.output("output").json()
    made = flyingpigeon.execute("subset_bbox", [("resource", path), *BOX.items()]).wait()
    return made.output("output")


def test_the_table_has_a_row_for_each_tool():
    assert len(rows()) == 10


@pytest.mark.parametrize("tool", ["xarray", "netCDF4"])
def test_netcdf(site, tmp_path, monkeypatch, tool):
    monkeypatch.chdir(tmp_path)
    with Workflow() as wf:
        output = subset(site, wf)
        dataset = run(tool, wf, output=output, url=output.reference)["dataset"]
        latitudes = dataset["latitude"][:]
        dataset.close()
        sent = site.proxy_requests(machineid=wf.machineid)
        assert len({request.node for request in sent}) == 1
    assert len(latitudes) > 1


@pytest.mark.parametrize(
    ("tool", "name", "content", "read"),
    [
        ("rasterio", "f.tif", elevation(7), lambda found: found["values"].max()),
        ("geopandas", "f.geojson", areas(7), lambda found: found["frame"]["number"][0]),
        (
            "fiona",
            "f.geojson",
            areas(7),
            lambda found: found["features"][0]["properties"]["number"],
        ),
        ("pandas", "f.csv", b"number\n7\n", lambda found: found["frame"]["number"][0]),
    ],
)
def test_rasters_shapes_and_tables(site, tool, name, content, read):
    for _ in range(3):
        with Workflow() as wf:
            url = file_beside_an_output(site, wf, name, content)
            assert read(run(tool, wf, url=url)) == 7


def test_curl(site, tmp_path, capsys):
    with Workflow() as wf:
        url = file_beside_an_output(site, wf, "h.csv", b"number\n7\n")
        run("curl", wf, url=url)
        command = capsys.readouterr().out
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, timeout=60)
    assert (tmp_path / "h.csv").read_bytes() == b"number\n7\n"


def test_another_process(site, cluster):
    with Workflow() as wf:
        output = subset(site, wf)
        names = {"output": output, "box": BOX, "wps": wf.wps(site.url("flyingpigeon"))}
        assert run("another WPS process", wf, **names)["step"].wait().output("output").read_bytes()
        assert wf.steps[-1].inputs == {"resource": "content" if site is cluster else "link"}


def test_a_browser(strict_cluster, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for number in range(3):
        with Workflow() as wf:
            url = file_beside_an_output(strict_cluster, wf, "i.txt", b"%d" % number)
            run("a browser", wf, url=url)
        assert requests.get(opened[-1], timeout=30).content == b"%d" % number


def test_opendap(tmp_path):
    with DapServer("127.0.0.1", 4) as server:
        origin = f"http://127.0.0.1:{server.port}"
        service = Service("thredds", url="http://thredds.example/dodsC", port=server.port)
        site = Topology(nodes=(Node("node1", host="127.0.0.1"),), services=(service,))
        with Workflow(topology=site) as wf:
            url = "http://thredds.example/dodsC/made"
            assert wf.link(url).startswith(origin)
            dataset = run("ncdump, and other OPeNDAP readers", wf, url=url)["dataset"]
            assert np.all(dataset["tas"][:] == 4)
            dataset.close()


def test_a_dataset_by_its_url_is_that_of_the_output(cluster):
    with Workflow() as wf:
        output = subset(cluster, wf)
        with (
            wf.open_dataset(output) as one,
            wf.open_dataset(output.reference, decode_times=False) as other,
        ):
            assert one.sizes == other.sizes
            assert one["time"].dtype != other["time"].dtype
        with pytest.raises(OutputUnavailable, match="404"):
            wf.open_dataset(output.reference + "x")


def test_what_is_not_a_url_is_not_opened(wf):
    with pytest.raises(InvalidRequest, match="7 is a int"):
        wf.open_dataset(7)
    with pytest.raises(OutOfScope, match="ftp"):
        wf.open_dataset("ftp://proxy.example/x.nc")
