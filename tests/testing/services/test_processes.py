"""The processes that every node offers."""

import base64
import re
import uuid
from pathlib import Path

import iris_sample_data
import pytest
import xarray
from owslib.wps import ComplexDataInput
from pywps.app.exceptions import ProcessError

from pavics_affinity.testing.services.processes import fetch
from pavics_affinity.testing.services.subset import NothingToSubset, subset_bbox
from support.by_hand import errors, execute, get, reference, value


@pytest.fixture
def machineid():
    return uuid.uuid4().hex


@pytest.fixture
def flyingpigeon(cluster):
    return cluster.url("flyingpigeon")


BOX = [("lon0", "-80"), ("lon1", "-60"), ("lat0", "30"), ("lat1", "50")]


def test_download_takes_several_urls_and_keeps_them_in_the_cache(cluster, machineid):
    urls = [cluster.sample_url, f"{cluster.data_url}/A1B_north_america.nc"]
    execution = execute(
        cluster.url("malleefowl"),
        "download",
        [("resource", url) for url in urls],
        machineid=machineid,
    )
    files = get(reference(execution), machineid).json()
    [run] = [
        run for run in cluster.executions(identifier="download") if run.inputs["resource"] == urls
    ]
    cache = cluster.cache(run.node)
    assert [file.rsplit("/", 1)[1] for file in files] == [url.rsplit("/", 1)[1] for url in urls]
    assert all(file.startswith(cache.as_uri()) for file in files)
    assert {path.as_uri() for path in cache.rglob("*.nc")} >= set(files)


def test_download_of_a_missing_file_fails_and_leaves_nothing(cluster, machineid):
    url = f"{cluster.data_url}/absent-{machineid}.nc"
    execution = execute(
        cluster.url("malleefowl"), "download", [("resource", url)], machineid=machineid
    )
    assert "404" in errors(execution)
    assert not [path for node in cluster.nodes for path in cluster.cache(node).rglob("absent*")]


def test_subset_fetches_http_resources_itself(cluster, flyingpigeon, machineid):
    execution = execute(
        flyingpigeon, "subset_bbox", [("resource", cluster.sample_url), *BOX], machineid=machineid
    )
    assert get(reference(execution), machineid).content[1:4] == b"HDF"


def test_the_metalink_lists_every_subset(cluster, flyingpigeon, machineid):
    urls = [cluster.sample_url, f"{cluster.data_url}/A1B_north_america.nc"]
    execution = execute(
        flyingpigeon,
        "subset_bbox",
        [*(("resource", url) for url in urls), *BOX],
        machineid=machineid,
    )
    links = _links(get(reference(execution, "metalink"), machineid).text)
    assert [link.rsplit("/", 1)[1] for link in links] == [
        "E1_north_america_bbox_subset.nc",
        "A1B_north_america_bbox_subset_1.nc",
    ]
    assert all(get(link, machineid).content[1:4] == b"HDF" for link in links)


@pytest.mark.parametrize(
    "resource",
    ["file:///etc/passwd", "file://{cache}/../../node2/cache/x.nc", "ftp://x/y", "nonsense"],
)
def test_subset_reads_nothing_but_its_own_cache(cluster, flyingpigeon, machineid, resource):
    resource = resource.format(cache=cluster.cache("node1"))
    execution = execute(
        flyingpigeon, "subset_bbox", [("resource", resource), *BOX], machineid=machineid
    )
    assert "file not in the cache" in errors(execution)


def test_a_file_can_be_embedded_or_referenced(cluster, flyingpigeon, machineid):
    content = (Path(iris_sample_data.path) / "E1_north_america.nc").read_bytes()
    embedded = ComplexDataInput(
        base64.b64encode(content).decode(), mimeType="application/x-netcdf", encoding="base64"
    )
    for resource in (embedded, ComplexDataInput(cluster.sample_url)):
        execution = execute(
            flyingpigeon, "subset_bbox_complex", [("resource", resource), *BOX], machineid=machineid
        )
        assert get(reference(execution), machineid).content[1:4] == b"HDF"


def test_pywps_takes_an_error_page_for_a_text(cluster, flyingpigeon, machineid):
    page = f"{cluster.data_url}/absent"
    execution = execute(
        flyingpigeon, "wordcounter", [("text", ComplexDataInput(page))], machineid=machineid
    )
    assert int(value(execution, "output")) > 5


def test_failures_are_shown_or_hidden_as_pywps_does(flyingpigeon, machineid):
    told = execute(flyingpigeon, "fail", [("message", "no such basin")], machineid=machineid)
    assert "no such basin" in errors(told)
    hidden = execute(flyingpigeon, "fail", machineid=machineid)
    assert "Process failed" in errors(hidden)


def test_failures_are_counted_as_runs(cluster, flyingpigeon, machineid):
    execute(flyingpigeon, "fail", [("message", machineid)], machineid=machineid)
    [run] = [run for run in cluster.executions() if run.inputs.get("message") == [machineid]]
    assert machineid in run.error


def test_multiple_outputs_come_as_metalink_3_and_4(flyingpigeon, machineid):
    execution = execute(flyingpigeon, "multiple_outputs", [("count", "3")], machineid=machineid)
    four = get(reference(execution), machineid).text
    three = get(reference(execution, "output_meta3"), machineid).text
    assert "urn:ietf:params:xml:ns:metalink" in four
    assert 'version="3.0"' in three
    assert len(_links(four)) == len(_links(three)) == 3
    assert get(_links(four)[2], machineid).text.startswith("text 2 of node")


def _links(metalink):
    return re.findall(r">\s*(http[^<\s]+/outputs/[^<\s]+)\s*<", metalink)


def _subset(tmp_path, source="E1_north_america.nc", **options):
    target = tmp_path / "subset.nc"
    subset_bbox(Path(iris_sample_data.path) / source, target, **options)
    with xarray.open_dataset(target) as found:
        return found.load()


@pytest.mark.parametrize(
    ("lon0", "lon1", "west", "east"), [(-80, -60, -80, -60), (280, 300, 280, 300)]
)
def test_a_box_is_found_in_either_convention_of_longitude(tmp_path, lon0, lon1, west, east):
    found = _subset(tmp_path, lon0=lon0, lon1=lon1, lat0=30, lat1=50)
    assert west <= found.longitude.min() < west + 2
    assert east - 2 < found.longitude.max() <= east
    assert (found.longitude.diff("longitude") > 0).all()


def test_a_box_across_the_meridian_comes_in_order(tmp_path):
    found = _subset(tmp_path, "ostia_monthly.nc", lon0=-5, lon1=5, lat0=-3, lat1=3)
    assert found.sizes["longitude"] == 13
    assert (found.longitude.diff("longitude") > 0).all()
    assert -5 <= found.longitude.min() < 0 < found.longitude.max() <= 5


def test_time_and_variables_can_be_chosen(tmp_path):
    found = _subset(
        tmp_path,
        lon0=-80,
        lon1=-60,
        lat0=30,
        lat1=50,
        start="2000-01-01",
        end="2009-12-30",
        variables=["air_temperature"],
    )
    assert found.sizes["time"] == 10
    assert list(found.data_vars) == ["air_temperature"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lat0": 70, "lat1": 80}, "no grid point"),
        ({"variables": ["rain"]}, "no variable rain"),
        ({"start": "1700-01-01", "end": "1700-12-30"}, "no time"),
        ({"end": "2000-12-31"}, "2000-12-31"),
    ],
)
def test_an_empty_subset_is_an_error(tmp_path, wrong, message):
    box = {"lon0": -80, "lon1": -60, "lat0": 30, "lat1": 50}
    with pytest.raises(NothingToSubset, match=message):
        _subset(tmp_path, **(box | wrong))


def test_only_http_is_fetched(tmp_path):
    with pytest.raises(ProcessError, match="expected an http URL"):
        fetch("file:///etc/passwd", tmp_path)
