"""Good documents, files and lines; fuzzers and tests of hostile input make bad ones of them."""

from __future__ import annotations

import hashlib
from typing import Any

from support import wpsdocs

# ---- WPS ----

INPUTS = (
    wpsdocs.literal("delay", "float")
    + wpsdocs.literal(
        "kind", inner="<ows:AllowedValues><ows:Value>a</ows:Value></ows:AllowedValues>"
    )
    + wpsdocs.complex_("resource", low=1)
    + wpsdocs.bbox("box")
)
METALINK = (
    "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='a.nc'><size>3</size>"
    "<hash type='sha-256'>12</hash><url priority='1'>a.nc</url></file><file name='b'>"
    "<metaurl mediatype='text/plain'>b.txt</metaurl></file></metalink>"
)
OUTPUTS = (
    wpsdocs.embedded("hello")
    + wpsdocs.embedded("aGVsbG8=", "coded", 'encoding="base64"')
    + wpsdocs.output("n", "<wps:Data><wps:LiteralData>7</wps:LiteralData></wps:Data>")
    + wpsdocs.output(
        "box",
        '<wps:Data><wps:BoundingBoxData crs="epsg:4326" dimensions="2"><ows:LowerCorner>0 1'
        "</ows:LowerCorner><ows:UpperCorner>2 3</ows:UpperCorner></wps:BoundingBoxData></wps:Data>",
    )
    + wpsdocs.embedded(METALINK.replace("<", "&lt;"), "list", 'mimeType="application/metalink+xml"')
)
CAPABILITIES = wpsdocs.capabilities("step", "subset_bbox")
DESCRIPTION = wpsdocs.description("step", INPUTS, ("output", "other"))
RESPONSES = (
    wpsdocs.response(wpsdocs.SUCCEEDED, OUTPUTS),
    wpsdocs.response(wpsdocs.STARTED, location="http://127.0.0.1/status.xml"),
    wpsdocs.response(wpsdocs.failed("it &lt;failed&gt;", "Code", "input")),
    wpsdocs.report("no", "InvalidParameterValue"),
)

# ---- OGC API - Processes, and the document that a proxy publishes ----

LANDING = {
    "title": "t",
    "links": [{"rel": "service-desc", "type": "application/json", "href": "/"}],
}
PROCESSES = {"processes": [{"id": "step", "title": "s"}], "links": []}
PROCESS = {
    "id": "step",
    "inputs": {"a": {"schema": {"type": "string"}, "minOccurs": 1, "maxOccurs": "unbounded"}},
    "outputs": {"o": {"schema": {"type": "object"}}},
}
JOB = {
    "jobID": "1",
    "processID": "step",
    "status": "successful",
    "progress": 100,
    "message": "done",
    "links": [{"rel": "http://www.opengis.net/def/rel/ogc/1.0/results", "href": "results"}],
}
RESULTS = {
    "text": "hello",
    "number": 7,
    "value": {"value": "aGVsbG8=", "encoding": "base64", "mediaType": "text/plain"},
    "list": {"value": METALINK, "mediaType": "application/metalink+xml"},
    "outputs": [{"id": "o", "value": {"a": [1]}}],
}
DOCUMENTS = (LANDING, PROCESSES, PROCESS, JOB, RESULTS)
PUBLISHED = {
    "pavics-affinity": 1,
    "site": "s",
    "proxy": "strict",
    "header": "machineid",
    "evidence": "X-Node",
    "nodes": [{"name": "node1", "host": "10.0.0.1", "weight": 1}, {"name": "node2", "drain": True}],
    "services": [
        {
            "name": "fp",
            "url": "http://127.0.0.1/wps",
            "outputs": "http://127.0.0.1/outputs",
            "aliases": ["http://127.0.0.1:8093"],
            "method": "hash",
            "backends": [{"node": "node1", "weight": 2}, {"node": "node2", "backup": True}],
        }
    ],
}

# ---- files of operators ----

TOPOLOGY = """\
header = "machineid"
evidence = "X-Pavics-Node"
proxy = "strict"
site = "climate"
workers = 2

[nodes]
node1 = { host = "10.0.0.1" }
node2 = { host = "10.0.0.2", weight = 2 }
node3 = { host = "10.0.0.3", drain = true }

[services.flyingpigeon]
url = "http://proxy.example:58093/wps"
port = 8093
publish = 58093
path = "/wps"
outputs = { public = "http://proxy.example:58093/outputs", backend = "/outputs" }
aliases = ["http://proxy.internal:8093"]
method = "hash"
backends = ["node2", "node1", { node = "node3", weight = 5 }]

[services.finch]
port = 8094
"""
COMPOSE = """\
x-base: &base
  restart: always
services:
  proxy:
    <<: *base
    image: nginx:1.29
    ports:
      - "58093:8093"
      - target: 8094
        published: 58094
      - "127.0.0.1:9000-9002:9000-9002/tcp"
    volumes:
      - ./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro
"""
PLAIN = """\
worker_processes 4;
http {
  map $http_machineid $key { default $http_machineid; "" $arg_machineid; }
  map $upstream_addr $node { "~10[.]0[.]0[.]1:" node1; default $upstream_addr; }
  add_header X-Pavics-Node $node always;
  proxy_next_upstream error timeout;
  upstream flyingpigeon {
    zone flyingpigeon 64k;
    hash $key;
    server 10.0.0.1:8093 weight=2 max_fails=0;
    server [2001:db8::1]:8093 max_conns=3;
    server unix:/run/wps.sock down;
    keepalive 8;
  }
  upstream finch { hash "$http_machineid" consistent; server 10.0.0.1:8094; server h2:8094; }
  server {
    listen 127.0.0.1:8093 ssl;
    server_name proxy.example;
    set $to flyingpigeon;
    location ~ ^/wps { proxy_pass http://$to; error_page 502 = @spare; }
    location /wpsoutputs/ { alias /data/; }
    location @spare { proxy_pass http://10.0.0.1:8093/x/; proxy_set_header machineid ""; }
  }
  server { listen 8094; location / { if ($arg_x) { proxy_pass http://finch; } } }
}
"""
FRONT = b"""\
upstream x { hash $http_machineid; server a:1; }
server { listen 8093; location / { proxy_pass http://x; } }
"""

# ---- journals ----

BEGIN = {
    "event": "begin",
    "format": 1,
    "machineid": "a1b2",
    "node": None,
    "route": "proxy",
    "strict": True,
    "header": "machineid",
    "topology": [{"toml": "[nodes]\nnode1 = {}\n[services.fp]\nurl = 'http://127.0.0.1/wps'\n"}],
}
SENDING = {
    "event": "sending",
    "step": 1,
    "time": 10.0,
    "api": "wps",
    "process": "subset",
    "service": "http://127.0.0.1/wps",
    "node": "node1",
    "machineid": "a1b2",
    "digest": "d",
}
ANSWER = (
    '<wps:ExecuteResponse xmlns:wps="http://www.opengis.net/wps/1.0.0"><wps:Status>'
    "<wps:ProcessSucceeded/></wps:Status></wps:ExecuteResponse>"
)
ENTRIES = [
    BEGIN,
    SENDING,
    {"event": "accepted", "step": 1, "time": 11.0, "location": "http://127.0.0.1/1.xml"},
    {"event": "ended", "step": 1, "time": 12.0, "state": "succeeded", "outputs": {"o": "u"}},
    {**SENDING, "step": 2, "api": "ogcapi"},
    {"event": "accepted", "step": 2, "time": 11.0, "location": "http://127.0.0.1/jobs/1"},
    {**SENDING, "step": 3},
    {"event": "ended", "step": 3, "time": 12.0, "state": "succeeded", "answer": ANSWER},
    {**SENDING, "step": 4},
]
KEY = hashlib.sha256(b'"item"\x001').hexdigest()[:32]
BATCH: list[dict[str, Any]] = [
    {"event": "begin", "format": 1, "chain": "c"},
    {"event": "done", "key": KEY, "value": "7", "node": "node1", "machineid": "a"}
    | {"started": 1.0, "ended": 2.0},
]
