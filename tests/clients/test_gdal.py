"""rasterio, fiona and geopandas read outputs from the workflow's node, through GDAL's options."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import fiona
import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from requests.auth import HTTPDigestAuth

from pavics_affinity import Workflow
from pavics_affinity.clients import gdal
from pavics_affinity.errors import InvalidRequest, OutOfScope, WorkflowClosed
from support.outputs import areas, elevation, file_beside_an_output

HEADERS = "GDAL_HTTP_HEADERS"


def nodes_of(site, wf):
    return {request.node for request in site.proxy_requests(machineid=wf.machineid)}


def test_each_library_reads_from_the_node(site):
    for number in range(6):
        with Workflow() as wf:
            tif = file_beside_an_output(site, wf, "a.tif", elevation(number))
            shapes = file_beside_an_output(site, wf, "a.geojson", areas(number))
            with wf.gdal_env(tif), rasterio.open(tif) as raster:
                assert np.all(raster.read(1) == number)
            with wf.gdal_env(shapes):
                frame = geopandas.read_file(f"/vsicurl/{shapes}")
                assert list(frame["number"]) == [number]
                assert list(geopandas.read_file(f"/vsicurl/{shapes}", engine="fiona")["number"])
                with fiona.open(shapes) as layer:
                    assert [each["properties"]["number"] for each in layer] == [number]
            assert len(nodes_of(site, wf)) == 1
            assert (
                len([r for r in site.proxy_requests(machineid=wf.machineid) if "a." in r.uri]) > 4
            )


def test_a_404_of_another_node_is_not_remembered(cluster):
    with Workflow() as wf:
        tif = file_beside_an_output(cluster, wf, "b.tif", elevation(1))
        with pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(tif)  # without a machineid, its requests go to one node after the other
        with wf.gdal_env(tif), rasterio.open(tif) as raster:
            assert raster.read(1).max() == 1


def test_the_mapping_is_what_rasterio_takes(cluster):
    with Workflow() as wf:
        tif = file_beside_an_output(cluster, wf, "c.tif", elevation(2))
        env = wf.gdal_env(tif)
    assert env[HEADERS] == f"machineid: {wf.machineid}"
    with rasterio.Env(**env), rasterio.open(tif) as raster:
        assert raster.read(1).max() == 2


def test_after_the_block_nothing_is_left(service):
    def now():
        found = [pyogrio.get_gdal_config_option(HEADERS), fiona.env.hasenv(), rasterio.env.hasenv()]
        with rasterio.Env() as env:
            return [*found, HEADERS in env.options, rasterio.env.get_gdal_config(HEADERS)]

    before = now()
    with Workflow("a1b2") as wf, wf.gdal_env(service.url()) as env:
        assert pyogrio.get_gdal_config_option(HEADERS) == env[HEADERS] == "machineid: a1b2"
        assert rasterio.env.getenv()[HEADERS] == "machineid: a1b2"
        with wf.gdal_env(service.url()):
            pass
        assert pyogrio.get_gdal_config_option(HEADERS) == "machineid: a1b2"
        with pytest.raises(ZeroDivisionError), env:
            raise ZeroDivisionError
        assert pyogrio.get_gdal_config_option(HEADERS) == "machineid: a1b2"
    assert now() == before


def test_threads_of_one_workflow_read_at_once(cluster):
    with Workflow() as wf:
        shapes = file_beside_an_output(cluster, wf, "d.geojson", areas(3))

        def read(_):
            with wf.gdal_env(shapes):
                return list(geopandas.read_file(f"/vsicurl/{shapes}")["number"])

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, range(8))) == [[3]] * 8
    assert pyogrio.get_gdal_config_option(HEADERS) is None


def test_two_workflows_in_two_threads_do_not_mix(service):
    with Workflow("a1b2") as one, Workflow("c3d4") as other:
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with one.gdal_env(service.url()):
                entered.set()
                leave.wait(30)

        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(hold)
            entered.wait(30)
            try:
                with (
                    pytest.raises(InvalidRequest, match=r"another thread is reading for .*'a1b2'"),
                    other.gdal_env(service.url()),
                ):
                    pass
                assert pyogrio.get_gdal_config_option(HEADERS) == "machineid: a1b2"
            finally:
                leave.set()
            held.result()
    assert not rasterio.env.hasenv()
    assert pyogrio.get_gdal_config_option(HEADERS) is None


def test_the_login_of_the_services_client_is_passed_on_and_not_shown(service, tmp_path):
    bundle, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    for file in (bundle, key):
        file.touch()
    with Workflow("a1b2") as wf:
        options = {"verify": str(bundle), "cert": (str(bundle), str(key))}
        wf.wps(service.url(), auth=("ann", "word"), headers={"X-Token": "t,u"}, **options)
        wf.session.cookies.set("auth_tkt", "crumb")
        env = wf.gdal_env(service.url("/x.tif"))
    assert env[HEADERS].split("\r\n") == [
        "machineid: a1b2",
        "X-Token: t,u",
        "Authorization: Basic YW5uOndvcmQ=",
        "Cookie: auth_tkt=crumb",
    ]
    assert env["CURL_CA_BUNDLE"] == env["GDAL_HTTP_SSLCERT"] == str(bundle)
    assert env["GDAL_HTTP_SSLKEY"] == str(key)
    assert not {word for word in ("YW5u", "crumb", "t,u", "word") if word in repr(env)}
    assert "a1b2" in repr(env)


def test_no_check_of_certificates_and_a_directory_of_them(service, tmp_path):
    with Workflow("a1b2") as wf:
        wf.wps(service.url(), verify=False)
        assert wf.gdal_env(service.url())["GDAL_HTTP_UNSAFESSL"] == "YES"
    with Workflow("a1b2") as wf:
        wf.wps(service.url(), verify=str(tmp_path), auth=HTTPDigestAuth("ann", "word"))
        env = wf.gdal_env(service.url())
    assert env["GDAL_HTTP_CAPATH"] == str(tmp_path)
    assert env[HEADERS] == "machineid: a1b2"


def test_only_for_the_workflows_hosts(service):
    with Workflow("a1b2") as wf:
        wf.wps(service.url())
        with pytest.raises(OutOfScope, match=r"127\.0\.0\.2"):
            wf.gdal_env("http://127.0.0.2/x.tif")
    with pytest.raises(WorkflowClosed):
        wf.gdal_env(service.url())


def test_a_workflow_that_asks_the_node_itself_says_what_to_open(strict_cluster):
    with Workflow(topology=strict_cluster.topology, route="direct") as wf:
        tif = file_beside_an_output(strict_cluster, wf, "e.tif", elevation(5))
        with pytest.raises(InvalidRequest, match="link"):
            wf.gdal_env(tif)
        with rasterio.open(wf.link(tif)) as raster:
            assert raster.read(1).max() == 5


def test_without_a_library_that_is_imported_nothing_is_set_silently(service, monkeypatch):
    monkeypatch.setattr(gdal, "sys", type("Sys", (), {"modules": {}}))
    with (
        Workflow("a1b2") as wf,
        pytest.raises(InvalidRequest, match="Import rasterio, fiona or geopandas before"),
        wf.gdal_env(service.url()),
    ):
        pass
