"""Headers and links for other programs: for the workflow's hosts, not for those of a document."""

from __future__ import annotations

import pytest

from pavics_affinity import Workflow
from pavics_affinity.errors import OutOfScope, SteeringImpossible
from support import wpsdocs

pytestmark = pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning")
SECRETS = {"machineid", "x-api-key", "cookie", "authorization"}


@pytest.mark.parametrize("ask", ["link", "headers"])
def test_a_host_that_a_document_named_is_not_told_anything_by_headers_or_link(
    service, elsewhere, tmp_path, ask
):
    xml = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(elsewhere.url("/x.txt")))
    service.execute = lambda seen: service.xml(xml)
    with Workflow("a1b2") as wf:
        wf.session.headers["X-Api-Key"] = "word"
        wf.session.cookies.set("auth_tkt", "word")
        wf.session.auth = ("ann", "word")
        output = wf.wps(service.url()).execute("step", []).output("output")
        with pytest.raises(OutOfScope, match=r"add_scope\('127.0.0.2'\)"):
            getattr(wf, ask)(output.reference)
        output.download(tmp_path)
        wf.download([output], tmp_path)
        wf.session.get(elsewhere.url("/y"))
        for seen in elsewhere.seen:
            assert {name.lower() for name, _ in seen.headers} & SECRETS == set()
        assert len(elsewhere.seen) == 3
        wf.add_scope("127.0.0.2")
        assert wf.headers(output.reference) == {"machineid": "a1b2"}


def test_the_first_url_of_a_workflow_is_its_users(service, elsewhere):
    for ask in ("headers", "link"):
        with Workflow("a1b2") as wf:
            if ask == "headers":
                assert wf.headers(service.url()) == {"machineid": "a1b2"}
            else:
                with pytest.raises(SteeringImpossible):  # for this proxy there is no link
                    wf.link(service.url())
            assert wf.headers(service.url("/outputs/x")) == {"machineid": "a1b2"}
            with pytest.raises(OutOfScope):
                wf.headers(elsewhere.url())
