"""What is published is what the manual documents, and nothing else."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.discovery.document import document, topology_of
from pavics_affinity.errors import TopologyError
from pavics_affinity.proxy.render import render_proxy
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology
from support.live_site import ask, running, site

SCHEMA = Path(__file__).parents[2] / "docs" / "operators" / "discovery.schema.json"
NODES = (Node("node1", "10.0.0.1"), Node("n-2", "10.0.0.2", weight=2, drain=True))
FINCH = Service(
    "finch",
    url="http://proxy.example:58093/wps",
    port=8093,
    path="/other",
    outputs=Outputs("http://proxy.example:58093/outputs", "/outputs"),
    aliases=["http://proxy.internal:8093"],
    backends=[Backend("node1", weight=3, down=True), Backend("n-2", "10.0.0.2:99", backup=True)],
    tls=True,
)
RAVEN = Service("Raven_2", port=8094, listen=80, publish=58094, method="hash consistent")
SITES = {
    "no addresses": Topology(NODES, [FINCH, RAVEN], site="a 'site' of $5 é", header="X-Id"),
    "addresses": Topology(NODES, [FINCH, RAVEN], direct=True, evidence="X-Who"),
    "outputs by node": Topology(
        NODES,
        [replace(FINCH, outputs=Outputs("http://proxy.example:58093/outputs/{node}", "/out"))],
    ),
    "one of each": Topology(NODES[:1], [RAVEN]),
}


@pytest.fixture(scope="module")
def schema():
    loaded = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def closed(schema):
    """Refuse what the schema does not name; clients take it, but we publish none."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return made | {"additionalProperties": False} if "properties" in schema else made


@pytest.mark.parametrize("name", SITES)
def test_a_document_has_the_keys_of_the_manual_and_no_other(schema, name):
    jsonschema.validate(document(SITES[name]), closed(schema))


def test_it_holds_addresses_only_if_the_operator_wants_that(schema):
    words = ("host", "address", "outputs_path", "tls")
    open_, direct = (json.dumps(document(SITES[name])) for name in ("no addresses", "addresses"))
    assert [f'"{word}"' in open_ for word in words] == [False] * 4
    assert [f'"{word}"' in direct for word in words] == [True] * 4


def test_what_a_live_proxy_publishes_is_valid(schema):
    with site() as made, running(made, render_proxy(made.topology(), "strict")):
        for name in made.services:
            answer = ask(made.url(name, WELL_KNOWN))
            assert answer.headers["Content-Type"] == "application/json"
            jsonschema.validate(answer.json(), closed(schema))


@pytest.mark.parametrize(
    "change",
    [
        {"pavics-affinity": 2},
        {"header": "a b"},
        {"header": 7},
        {"evidence": "X_Y"},
        {"proxy": "loose"},
        {"nodes": []},
        {"nodes": [{"name": "Node"}]},
        {"nodes": [{"name": "node1", "weight": 0}]},
        {"nodes": [{"name": "node1", "drain": "yes"}]},
        {"services": []},
        {"services": [{"name": "a b"}]},
        {"services": [{"name": "a", "method": "hash", "backends": []}]},
        {"services": 7},
        {"site": ["x"]},
    ],
)
def test_what_the_schema_refuses_the_client_refuses(schema, change):
    told = document(replace(SITES["one of each"], site="x")) | {}
    jsonschema.validate(told, schema)
    topology_of(told, "http://proxy.example:58094")
    bad = copy.deepcopy(told) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema)
    with pytest.raises(TopologyError):
        topology_of(bad, "http://proxy.example:58094")
