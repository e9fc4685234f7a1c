"""Subclasses of birdy's client, such as rooki's, whose results fetch files by themselves."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pavics_affinity import Workflow, WPSClient
from pavics_affinity.clients.wps.execution import Execution
from pavics_affinity.errors import InvalidRequest, OutputUnavailable
from support.rook import rook_class

BOX = {"lon0": -100, "lon1": -60, "lat0": 30, "lat1": 60}
CHAINS = 4


@pytest.fixture(scope="module")
def rook(cluster):
    with pytest.MonkeyPatch.context() as patch:
        yield rook_class(patch, cluster.url("flyingpigeon"))


def mixed_in(wf, kind, url, **options):
    class Pinned(kind, WPSClient):
        pass

    with wf:
        return Pinned(url, **options)


def given_as_cls(wf, kind, url, **options):
    return wf.birdy(url, cls=kind, **options)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("make", [given_as_cls, mixed_in])
def test_four_of_four_chains_with_their_metalinks(cluster, rook, tmp_path, make, mode):
    for _ in range(CHAINS):
        with Workflow() as wf:
            got = wf.birdy(cluster.url("malleefowl")).download(cluster.sample_url)
            [path] = got.get(asobj=True).output
            url = cluster.url("flyingpigeon")
            client = make(wf, rook, url, mode=mode, output_dir=str(tmp_path))
            assert isinstance(client, rook)
            assert client.mode == mode

            texts = client.multiple_outputs(count=3)
            assert texts.num_files == 3
            files = texts.download()
            assert [Path(file).name for file in files] == [f"text_{n}.txt" for n in range(3)]
            assert all(Path(file).is_relative_to(tmp_path) for file in files)

            [dataset] = client.subset_bbox(resource=path, **BOX).datasets()
            assert dataset.sizes["latitude"] > 1
            dataset.close()
        sent = cluster.proxy_requests(machineid=wf.machineid)
        assert len({request.node for request in sent}) == 1


def test_a_metalink_that_is_gone_is_an_error_instead_of_no_files(cluster, rook, tmp_path):
    with Workflow() as wf:
        url = cluster.url("flyingpigeon")
        client = wf.birdy(url, cls=rook, mode="sync", output_dir=str(tmp_path))
        texts = client.multiple_outputs(count=1)
        missing = texts.url.rpartition("/")[0] + "/none.meta4"
        texts.response.processOutputs[0].reference = missing
        for fetch in (texts.download, texts.datasets):
            with pytest.raises(OutputUnavailable, match="404"):
                fetch()


def test_another_client_of_the_same_class_stays_as_it_was(cluster, rook, tmp_path):
    with Workflow() as wf:
        wf.birdy(cluster.url("flyingpigeon"), cls=rook, mode="sync", output_dir=str(tmp_path))
    other = rook(cluster.url("flyingpigeon"), mode="sync", output_dir=str(tmp_path))
    assert not isinstance(other, WPSClient)
    assert not isinstance(other.echo(text="x").response, Execution)


def test_a_client_of_a_subclass_can_be_pickled(cluster, rook, tmp_path):
    with Workflow() as wf:
        url = cluster.url("flyingpigeon")
        client = wf.birdy(url, cls=rook, mode="sync", output_dir=str(tmp_path))
        there = pickle.loads(pickle.dumps(client))
        assert type(there) is type(client)
        assert (there.mode, there.output_dir) == ("sync", str(tmp_path))
        assert len(there.multiple_outputs(count=2).download()) == 2


@pytest.mark.parametrize("kind", [int, "Rooki"])
def test_a_class_that_is_not_birdys_is_refused(service, wf, kind):
    with pytest.raises(InvalidRequest, match="expected a subclass of birdy's WPSClient"):
        wf.birdy(service.url(), cls=kind)
    assert service.seen == []
