"""Services whose documents, and faults, a test decides, and what asks them."""

from __future__ import annotations

import pytest

from pavics_affinity import Workflow
from pavics_affinity.clients.wps.service import WebProcessingService
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession
from support.scriptedapi import ScriptedAPI


@pytest.fixture(params=["plain", "strict"])
def site(request, cluster):
    """A cluster behind a plain proxy, and one behind a rendered one."""
    return cluster if request.param == "plain" else request.getfixturevalue("strict_cluster")


@pytest.fixture
def session():
    with AffinitySession(Pin("a1b2", given=True)) as made:
        yield made


@pytest.fixture
def wps(service, session):
    return WebProcessingService(service.url(), session=session)


@pytest.fixture
def api():
    with ScriptedAPI() as server:
        yield server


@pytest.fixture
def wf():
    with Workflow() as workflow:
        yield workflow


@pytest.fixture
def client(api, wf):
    return wf.processes(api.url(""))
