"""Each page of the manual does what it says: its code runs, and its commands can be called."""

from __future__ import annotations

import json
import logging
import ssl
import sys
import types
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click
import pytest
import requests
import trustme

from pavics_affinity import Topology, Workflow, WPSClient
from pavics_affinity.cli.group import group
from pavics_affinity.clients import references
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.errors import JournalLocked, ReferenceRefused
from support.loopback import Answer, Server
from support.manual import ERRORS, SERVICES, Given, Reader, blocks, commands, pages, text_of
from support.outputs import elevation, file_beside_an_output
from support.rook import rook_class

# On the page of errors each fix needs its error first: tests/test_remedies.py runs them.
PYTHON = [page for page in pages() if page != ERRORS and blocks(page, "python")]
CONSOLE = [(page, args) for page in pages() for args in commands(page)]

NO_PROXY = "docs/howto/without-a-proxy.md"
SECRET = "s3cret-word"


def of_a_raster(cluster, given, place):
    return {"url": file_beside_an_output(cluster, given.wf, "g.tif", elevation(8))}


def of_a_login(cluster, given, place):
    return {"password": SECRET, "token": SECRET}


def of_a_script_of_owslib(cluster, given, place):
    (place / "site-ca.pem").touch()  # of a service over TLS, which this one is not
    return {
        "password": SECRET,
        "service": cluster.url("flyingpigeon"),
        "document": given.execution.request,
        "status": given.execution.statusLocation,
    }


def of_a_script_of_birdy(cluster, given, place):
    from birdy.client.converters import TextConverter

    capabilities, descriptions = (
        given.wf.session.get(f"{cluster.url('flyingpigeon')}?service=WPS&version=1.0.0&{query}")
        for query in ("request=GetCapabilities", "request=DescribeProcess&identifier=all")
    )
    return of_a_script_of_owslib(cluster, given, place) | {
        "caps": capabilities.text,
        "descriptions": descriptions.text,
        "TextConverter": TextConverter,
    }


def of_a_site_like_pavics(cluster, given, place):
    (place / "pavics.toml").write_text(blocks("docs/pavics.md", "toml")[0].code)
    return {}


def of_pictures(cluster, given, place):
    from pavics_affinity import map_workflows

    results = map_workflows(lambda wf, item: item, ["a"], topology=given.topology)
    assert [result.value for result in results] == ["a"]
    before = replace(given.topology, nodes=given.topology.nodes[:2])
    return {"earlier": given.wf, "results": results, "before": before, "after": given.topology}


def of_the_page_on_commands(cluster, given, place):
    page = "docs/commands.md"
    (place / "site.toml").write_text(blocks(page, "toml")[0].code)
    (place / "conf.d").mkdir()
    (place / "conf.d" / "flyingpigeon.conf").write_text(blocks(page, "nginx")[0].code)
    return {}


def of_outputs(cluster, given, place):
    birdy = given.wf.birdy(cluster.url("flyingpigeon"))
    return {"result": birdy.subset_bbox(resource=given.path, **dict(given.box))}


BEFORE = {
    "docs/outputs.md": of_outputs,
    "docs/from-birdy.md": of_a_script_of_birdy,
    "docs/from-owslib.md": of_a_script_of_owslib,
    "docs/howto/reading.md": of_a_raster,
    "docs/howto/login.md": of_a_login,
    "docs/display.md": of_pictures,
    "docs/pavics.md": of_a_site_like_pavics,
    "docs/commands.md": of_the_page_on_commands,
}
"""What a page takes for given besides `Given`."""


def after_the_first_script(found):
    assert Path("subset.nc").read_bytes()[1:4] == b"HDF"


def after_the_page_on_clients(found):
    assert issubclass(found["PinnedRooki"], WPSClient)
    assert len(found["files"]) == 3


def after_a_chain_by_url(found):
    assert found["wf"].steps[-1].inputs == {"resource": "node's URL"}
    assert Path("smaller.nc").read_bytes()[1:4] == b"HDF"


def after_some_days(found):
    events = [json.loads(line)["event"] for line in Path("run.jsonl").read_text().splitlines()]
    assert events.count("sending") == 2


def after_many_files(found):
    assert found["failed"] == []
    assert [chain.recalled for chain in found["results"].chains] == [True] * 2


def after_the_example_of_rasterio(found):
    assert (found["values"] == 8).all()


def after_the_page_on_commands(found):
    assert found["flyingpigeon"].url == Topology.load("site.toml").services[0].url


def after_the_page_on_pavics(found):
    """The input at THREDDS stays as it is, and an output's URL does not."""
    with found["wf"], pytest.raises(JournalLocked):
        Workflow.resume("run.jsonl")
    with Workflow(topology="pavics.toml") as wf:
        site = "https://pavics.example"
        data = f"{site}/twitcher/ows/proxy/thredds/dodsC/tas.nc"
        assert references.hand_on(wf.session, data, "input 'resource'") == data
        with pytest.raises(ReferenceRefused):
            references.hand_on(wf.session, f"{site}/wpsoutputs/finch/1/out.nc", "input 'resource'")
    with Workflow() as wf:
        wf.add_scope(f"{site}/twitcher/ows/proxy/finch/wps")
        with pytest.raises(ReferenceRefused):
            references.hand_on(wf.session, data, "input 'resource'")


AFTER = {
    "README.md": after_the_first_script,
    "docs/index.md": after_the_first_script,
    "docs/tutorial.md": after_the_first_script,
    "docs/commands.md": after_the_page_on_commands,
    "docs/howto/many-files.md": after_many_files,
    "docs/howto/reading.md": after_the_example_of_rasterio,
    "docs/howto/without-a-proxy.md": after_the_first_script,
    "docs/pavics.md": after_the_page_on_pavics,
    "docs/clients.md": after_the_page_on_clients,
    "docs/howto/chain.md": after_a_chain_by_url,
    "docs/howto/days.md": after_some_days,
}
"""What must be true when the code of a page has run."""


@pytest.fixture
def ogc_url(ogc_site):
    return ogc_site.url


@pytest.fixture
def magpie(cluster):
    """Magpie's sign-in, as requests-magpie knows it; Magpie itself cannot be installed here."""

    def sign_in(seen):
        given = dict(parse_qsl(seen.body.decode()))
        known = seen.path == "/signin" and given["password"] == SECRET
        cookie = {"Set-Cookie": f"auth_tkt={SECRET}; Path=/; HttpOnly"}
        return Answer(200, b"{}", cookie) if known else Answer(401)

    with Server(urlsplit(cluster.url("malleefowl")).hostname) as server:
        server.answer = sign_in
        yield server.url("")


@pytest.fixture
def guarded(cluster):
    """A service that Magpie's users only reach, on the same host."""

    def guard(seen):
        cookie = f"auth_tkt={SECRET}" in "; ".join(seen.all("Cookie"))
        if not cookie and not seen.all("Authorization"):
            return Answer(401, b"", {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
        return forwarded(seen, cluster)

    with Server(urlsplit(cluster.url("flyingpigeon")).hostname) as server:
        server.answer = guard
        yield server.url("/wps")


@pytest.fixture
def asking_for_a_certificate(cluster, tmp_path):
    """A service over TLS that asks its clients for a certificate."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "site-ca.pem")
    ann = ca.issue_cert("ann@example.org", common_name="ann")
    ann.private_key_pem.write_to_path(tmp_path / "ann.key")
    ann.cert_chain_pems[0].write_to_path(tmp_path / "ann.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(tls)
    ca.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    with Server("localhost", tls=tls) as server:
        server.answer = lambda seen: forwarded(seen, cluster)
        yield server.url("/wps")


def forwarded(seen, cluster):
    url = cluster.url("flyingpigeon").removesuffix("/wps") + seen.path
    headers = {"machineid": "".join(seen.all("machineid"))}
    answer = requests.request(seen.method, url, data=seen.body, headers=headers, timeout=60)
    return Answer(answer.status_code, answer.content, {"Content-Type": "text/xml"})


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as workers:
        yield workers.scheduler_address.removeprefix("tcp://")


@pytest.fixture
def nginx_directory(cluster):
    return str(cluster.directory / "nginx")


STANDS_FOR = {
    "https://proxy.example/magpie": "magpie",
    "https://proxy.example/ogcapi": "ogc_url",
    "https://proxy.example/wps": "asking_for_a_certificate",
    "https://proxy.example/twitcher/ows/proxy/flyingpigeon/wps": "guarded",
    "scheduler.example:8786": "dask",
    "/etc/nginx": "nginx_directory",
}
"""What the pages' code names, and the fixture that is there in these tests."""


@pytest.fixture
def read(request, cluster, tmp_path, monkeypatch, caplog):
    """Return a function that runs the code of a page, in a directory with a ``site.toml``."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("pavics_affinity")  # a page sets it up
    monkeypatch.setattr(logger, "handlers", [])
    caplog.set_level(logging.WARNING, logger.name)
    monkeypatch.setenv("MPLBACKEND", "agg")
    rook = rook_class(monkeypatch, cluster.url("flyingpigeon"))
    # rooki cannot be installed beside the birdy of these tests; where it can, it is the real one.
    for name in ("rooki", "rooki.client"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(Rooki=rook))

    def run(page):
        site = cluster if page != NO_PROXY else request.getfixturevalue("cluster_no_proxy")
        site.dump_topology("site.toml")
        code = "".join(block.code for block in blocks(page, "python"))
        replaced = {f"http://proxy.example:{p}/wps": site.url(s) for p, s in SERVICES.items()}
        for word, name in STANDS_FOR.items():
            if word in code:
                replaced[word] = request.getfixturevalue(name)
        before = len(site.proxy_requests()) if site.proxy else 0
        given = Given(site)
        with given.wf:
            vars(given).update(BEFORE.get(page, lambda *_: {})(site, given, tmp_path))
            found = Reader(given, replaced, request.getfixturevalue).run(page)
        if site.proxy:
            assert [seen.uri for seen in site.proxy_requests()[before:] if is_unpinned(seen)] == []
        return found

    return run


def is_unpinned(seen):
    return not seen.machineid and seen.uri != WELL_KNOWN


# From Python 3.12 on; the worker of the page on batches only sends requests.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("page", PYTHON)
def test_the_code_of_a_page_runs(read, page):
    AFTER.get(page, dict)(read(page))


def test_few_blocks_are_not_run():
    not_run = [block for page in PYTHON for block in blocks(page, "python") if block.not_run]
    assert len(not_run) <= 3


@pytest.mark.parametrize("page", pages())
def test_a_topology_of_the_manual_can_be_read(page):
    for block in blocks(page, "toml"):
        if "[nodes]" in block.code and "[services." in block.code:
            Topology.loads(block.code)


@pytest.mark.parametrize("page", pages())
def test_the_program_sees_every_block_of_python(page):
    assert len(blocks(page, "python")) == text_of(page).count("```python")


@pytest.mark.parametrize(("page", "args"), CONSOLE, ids=lambda each: str(each).split("/")[-1])
def test_a_command_of_the_manual_can_be_called(page, args):
    name, *options = args
    if name.startswith("-"):
        name, options = "--help", args
        command = group
    else:
        command = group.get_command(click.Context(group), name)
    with pytest.raises(click.exceptions.Exit) as ended:
        command.make_context(name, [*options, "--help"])
    assert ended.value.exit_code == 0
