"""Any answers give one verdict in words, which never promises too much."""

from typing import get_args

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pavics_affinity import Node, Service, Topology
from pavics_affinity.proxy.probe import Seen, judge
from pavics_affinity.proxy.probe.seen import Answer, Document, ServiceSeen
from pavics_affinity.proxy.probe.verdict import Kind

URL = "http://proxy.example:58093/wps"
NODES = [Node("node1"), Node("node2")]


def site(proxy, url=URL, nodes=NODES, evidence="X-Pavics-Node"):
    return Topology(nodes, [Service("finch", url=url)], proxy=proxy, evidence=evidence)


DOCUMENTS = st.sampled_from(
    [
        Document(),
        Document(trouble="makes no sense"),
        Document(site("strict")),
        Document(site("plain")),
        Document(site("strict", evidence=None)),
        Document(site("strict", nodes=NODES[:1])),
        Document(site("strict", url="http://proxy.example:58091/wps")),
    ]
)
ANSWERS = st.one_of(
    st.just(Answer(None, failure="it stayed silent")),
    st.builds(
        Answer,
        st.sampled_from([200, 200, 200, 302, 400, 401, 404, 421, 502]),
        st.dictionaries(
            st.sampled_from(["x-pavics-node", "server", "x-upstream", "location"]),
            st.sampled_from(["node1", "node2", "nginx", "10.0.0.1:8093", "a, b", "", "\x1b[1m"]),
        ),
        st.sampled_from(["one", "two"]),
        st.booleans(),
        hidden=st.sampled_from([None, None, None, 421, 502]),
    ),
)
LISTS = st.lists(ANSWERS, min_size=1, max_size=3)
BY_ID = st.fixed_dictionaries({"id1": LISTS, "id2": LISTS})
SERVICES = st.builds(
    ServiceSeen,
    url=st.just(URL),
    document=DOCUMENTS,
    by_id=BY_ID,
    without=LISTS,
    by_query=st.fixed_dictionaries({"id1": LISTS}),
    by_path=st.one_of(st.just({}), st.fixed_dictionaries({"id1": LISTS})),
    by_node=st.dictionaries(st.sampled_from(["node1", "node2"]), ANSWERS),
    unknown=st.one_of(st.none(), ANSWERS),
    by_spelling=st.dictionaries(st.just("machine-id"), BY_ID),
)
SEEN = st.builds(
    Seen,
    header=st.sampled_from(["machineid", "machine_id"]),
    evidence=st.sampled_from([None, "X-Pavics-Node", "X-Other"]),
    services=st.lists(SERVICES, min_size=1, max_size=3).map(tuple),
    requests=st.just(7),
)


@settings(max_examples=150, deadline=None)
@given(SEEN)
def test_any_answers_give_a_verdict_in_words(seen):
    verdict = judge(seen)
    event(verdict.kind)
    assert verdict.kind in get_args(Kind)
    told = " ".join([verdict.words, verdict.next, *(f.words for f in verdict.findings)])
    assert told.isprintable()
    assert all((verdict.words, verdict.next, *(f.words for f in verdict.findings)))
    if verdict.works:
        for answers in seen.first.by_id.values():
            places = {a.headers.get("x-pavics-node") for a in answers} - {None, ""}
            assert len(places) < 2 or verdict.kind == "single-node"
