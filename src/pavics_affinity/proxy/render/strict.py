"""Render the strict style: a key may name its node, and then no other node answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from ...discovery.document import document_text
from ...protocol import (
    CONNECTED_HEADER,
    MACHINEID,
    NODE_NAME,
    PATH_PREFIX,
    QUERY_NAME,
    SUFFIX,
    WELL_KNOWN,
)
from ...topology import Backend, Service, Topology
from . import values
from .layout import Location, ProxyPort, proxy_files
from .tls import listen_lines, scheme_map
from .values import NODE_VARIABLE, named_hosts, node_map

# nginx's buffer for a directive's argument has 4096 bytes.
_CHUNK = 1500
_ZONE_PER_SERVER = 2
_SMALLEST_ZONE = 64

# A service cannot have this name.
_UNKNOWN = ".unknown"


def render_strict(topology: Topology) -> dict[str, str]:
    """Return the files of a strict proxy: text by path below ``config/proxy``."""
    evidence = values.evidence_header(topology)
    document = document_variables(topology, evidence=evidence)
    common = "\n".join([common_maps(topology), _LOG, document])
    files = {"nginx.conf": _main(topology), "conf.d/00-affinity.conf": common}
    return files | site_files(topology, evidence)


def site_files(topology: Topology, evidence: str) -> dict[str, str]:
    """Return the files of the services and their ports; they need the maps of `common_maps`."""
    return proxy_files(
        topology,
        lambda service: _service_blocks(topology, service),
        lambda port: _server_block(topology, port, evidence),
    )


# ---- what all services share ----


def common_maps(topology: Topology) -> str:
    """Return the maps from a request to its key, and to the name of the node that it reached."""
    return "\n".join([_keys(topology), _evidence_map(topology)])


def _keys(topology: Topology) -> str:
    header = "$http_" + values.variable_part(topology.header)
    prefix = re.escape(PATH_PREFIX)
    return f"""\
# The routing key: from the header, else from the path ({PATH_PREFIX}KEY/...), the query
# or the cookie {QUERY_NAME}.
map {header} $affinity_key {{
  default {header};
  "" $affinity_link_key;
}}
map $affinity_link_text $affinity_link_key {{
  default $affinity_link_text;
  "~^(?<affinity_left>[^%~]*)%7[Ee](?<affinity_right>[^%~]*)$" "$affinity_left~$affinity_right";
}}
map $affinity_path_key $affinity_link_text {{
  default $affinity_path_key;
  "" $affinity_query_key;
}}
map $arg_{QUERY_NAME} $affinity_query_key {{
  default $arg_{QUERY_NAME};
  "" $cookie_{QUERY_NAME};
}}
map $request_uri $affinity_path_key {{
  default "";
  "~^{prefix}(?<affinity_segment>[^/?]+)/" $affinity_segment;
}}
# The URI as it came, without the key: escapes and query untouched.
map $request_uri $affinity_uri {{
  default $request_uri;
  "~^{prefix}[^/?]+(?<affinity_rest>/.*)$" $affinity_rest;
}}
map $affinity_key $affinity_ill_formed {{
  default 1;
  "" "";
  "~^{MACHINEID}(~({SUFFIX}))?$" "";
}}
{scheme_map(topology)}"""


def _evidence_map(topology: Topology) -> str:
    lines = ["# The node that was asked, whether it answered or refused."]
    names = named_hosts(topology)
    if names:
        lines.append(
            f"# For bare keys it is unknown on {', '.join(names)}: nginx writes addresses, not "
            "names."
        )
    lines += [
        "map $proxy_host $affinity_asked {",
        '  default "";',
        *(f'  "~[.]{node.name}$" {node.name};' for node in topology.nodes),
        "}",
        *node_map(topology, "  default $affinity_asked;"),
    ]
    return "\n".join([*lines, ""])


_LOG_FIELDS = {
    "time": "$time_iso8601",
    "client": "$remote_addr",
    "method": "$request_method",
    "uri": "$request_uri",
    "status": "$status",
    "machineid": "$affinity_key",
    "node": f"${NODE_VARIABLE}",
    # SERVICE or SERVICE.NODE; empty for what nginx answers itself.
    "upstream": "$proxy_host",
    "bytes": "$body_bytes_sent",
    "seconds": "$request_time",
    "connect": "$upstream_connect_time",
    "first_byte": "$upstream_header_time",
    "agent": "$http_user_agent",
}
_LOG = (
    "log_format affinity escape=json '{"
    + ",".join(f'"{name}":"{variable}"' for name, variable in _LOG_FIELDS.items())
    + "}';\naccess_log /var/log/nginx/access.log affinity;\n"
)


def document_variables(topology: Topology, *, evidence: str | None) -> str:
    """Return maps that hold the discovery document, each within nginx's limit for a text."""
    text = document_text(topology, evidence=evidence)
    # nginx expands a dollar, and an apostrophe ends the text; JSON can escape both.
    text = text.replace("$", "\\u0024").replace("'", "\\u0027")
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    names = [f"$affinity_document_{number}" for number in range(1, len(chunks) + 1)]
    lines = ["# What clients need to know about this site."]
    for name, chunk in zip(names, chunks, strict=True):
        escaped = chunk.replace("\\", "\\\\")
        lines.append(f"map \"\" {name} {{ default '{escaped}'; }}")
    lines.append(f'map "" $affinity_document {{ default "{"".join(names)}"; }}')
    return "\n".join([*lines, ""])


# ---- one service ----


def _service_blocks(topology: Topology, service: Service) -> str:
    """Return the upstreams of a service, and the map that chooses between them."""
    backends = topology.backends(service)
    by_node: dict[str, list[Backend]] = {}
    for backend in backends:
        by_node.setdefault(backend.node, []).append(backend)
    pool = _pool_variable(service)
    lines = [
        "# A key that ends in ~NODE goes to that node's own upstream, any other by the hash.",
        f"map $affinity_key ${pool} {{",
        f"  default {service.name};",
        *(f'  "~[~]{node}$" {service.name}.{node};' for node in by_node),
        f'  "~[~]{NODE_NAME}$" {_UNKNOWN};',
        "}",
        f"upstream {service.name} {{",
        f"  zone {service.name} {max(_SMALLEST_ZONE, _ZONE_PER_SERVER * len(backends))}k;",
        f"  {service.method.replace('hash', 'hash $affinity_key', 1)};",
        # There are no retries on another server, so a backup would never be used.
        *(f"  server {_server_line(b, service, shared=True)};" for b in backends if not b.backup),
        *_KEEPALIVE,
        "}",
    ]
    for node, of_node in by_node.items():
        shared = len(of_node) > 1
        lines += [
            f"upstream {service.name}.{node} {{",
            *(["  hash $affinity_key;"] if shared else []),
            *(f"  server {_server_line(b, service, shared=shared)};" for b in of_node),
            *_KEEPALIVE,
            "}",
        ]
    return "\n".join([*lines, ""])


_KEEPALIVE = [
    "  keepalive 16;",
    # Shorter than the backends' (gunicorn: 2 s), or a POST could hit a closing connection.
    "  keepalive_timeout 1s;",
]


def _server_line(backend: Backend, service: Service, *, shared: bool) -> str:
    line, weight = values.address(backend, service), values.weight(backend, service)
    if shared:
        line += weight
    # A node keeps its ids after a failure, because no other node has their files.
    return line + " max_fails=0" + " down" * backend.down


def _pool_variable(service: Service) -> str:
    """Return the variable that holds the name of the upstream for a request's key."""
    return f"affinity_pool_{values.variable_part(service.name)}"


# ---- one port ----


def _server_block(topology: Topology, port: ProxyPort, evidence: str) -> str:
    """Return the server block of a port."""
    alone = len(port.services) == 1
    lines = [
        *([""] if alone else []),
        "server {",
        *listen_lines(topology, port),
        "  server_tokens off;",
        *(f"  {line}" for line in evidence_headers(evidence)),
        "",
        *(f"  {line}" for line in passing_on(topology)),
        *_tls(port),
        "",
        f"  {REFUSE_ILL_FORMED}",
        *([f"  {refuse_unknown(port.services[0])}"] if alone else []),
        '  if ($affinity_path_key != "") {',
        f'    rewrite "^{re.escape(PATH_PREFIX)}[^/]+(/.*)$" $1;',
        "  }",
        "",
        *document_location(),
        f'  location {PATH_PREFIX.rstrip("/")} {{ return 400 "expected a key and a path\\n"; }}',
    ]
    for location in port.locations:
        first = [] if alone else [refuse_unknown(location.service)]
        lines += location_blocks(location, first)
    lines += [
        f'  location {place}/ {{ return 421 "this proxy does not know this node\\n"; }}'
        for place in port.node_places
    ]
    if not port.has_root:
        lines.append("  location / { return 404; }")
    return "\n".join([*lines, "}", ""])


REFUSE_ILL_FORMED = 'if ($affinity_ill_formed) { return 400 "this is not a machineid\\n"; }'


def evidence_headers(evidence: str) -> list[str]:
    """Return the headers that show which node answered, and whether it was reached."""
    return [
        f"add_header {evidence} ${NODE_VARIABLE} always;",
        # Empty or "-": the node was not reached, so nothing ran.
        f"add_header {CONNECTED_HEADER} $upstream_connect_time always;",
    ]


def passing_on(topology: Topology) -> list[str]:
    """Return the settings for passing requests to nodes."""
    return [
        "client_max_body_size 1g;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        f"proxy_set_header {topology.header} $affinity_key;",
        "proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $affinity_scheme;",
        "proxy_connect_timeout 5s;",
        # A synchronous Execute is silent for as long as it runs.
        "proxy_read_timeout 3600s;",
        "proxy_send_timeout 3600s;",
        "# A node that does not answer is a 502 until it is back: no other has its files.",
        "proxy_next_upstream off;",
        "proxy_max_temp_file_size 0;",
    ]


def document_location() -> list[str]:
    """Return the location of the discovery document."""
    return [
        f"  location = {WELL_KNOWN} {{",
        "    default_type application/json;",
        "    add_header Cache-Control no-cache always;",
        "    return 200 $affinity_document;",
        "  }",
    ]


def refuse_unknown(service: Service) -> str:
    """Return the line that refuses a key if the node that it names does not exist."""
    pool = _pool_variable(service)
    return f'if (${pool} = {_UNKNOWN}) {{ return 421 "this proxy does not know this node\\n"; }}'


def _refuse_other(service: Service, node: str) -> str:
    """Return the line that refuses a key if it and the path name different nodes."""
    other = f'${_pool_variable(service)} !~ "^{service.name}([.]{node})?$"'
    return f'if ({other}) {{ return 421 "the key names another node than the path\\n"; }}'


def _tls(port: ProxyPort) -> list[str]:
    service = next((service for service in port.services if service.tls), None)
    if service is None:
        return []
    lines = ["  proxy_ssl_server_name on;"]
    if service.url is not None:
        # Nodes show the service's certificate. To verify it, nginx would need the authority.
        lines.append(f"  proxy_ssl_name {urlsplit(service.url).hostname};")
    return lines


def location_blocks(location: Location, first: Sequence[str]) -> list[str]:
    """Return the blocks for a location; each begins with the lines in `first`."""
    scheme = "https" if location.service.tls else "http"
    target = f"{scheme}://${_pool_variable(location.service)}"
    if location.node is not None:
        first = [_refuse_other(location.service, location.node)]
        target = f"{scheme}://{location.service.name}.{location.node}"
    path, backend = location.path, location.backend
    if location.changes_path:
        exact = [f"rewrite ^ {backend or '/'} break;", f"proxy_pass {target};"]
        rewrite = f'rewrite "^{re.escape(path)}(/.*)$" {backend}$1 break;'
        below = [rewrite, f"proxy_pass {target};"]
    else:
        exact = below = [f"proxy_pass {target}$affinity_uri;"]
    blocks = [(f"= {path}", exact)] if path else []
    return [
        line
        for pattern, inner in [*blocks, (f"{path}/", below)]
        for line in (f"  location {pattern} {{", *(f"    {e}" for e in [*first, *inner]), "  }")
    ]


def _main(topology: Topology) -> str:
    return f"""\
worker_processes {topology.workers};
error_log /var/log/nginx/error.log warn;
events {{ worker_connections {topology.connections}; }}
http {{
  default_type application/octet-stream;
  map_hash_bucket_size 128;
  include /etc/nginx/conf.d/*.conf;
}}
"""
