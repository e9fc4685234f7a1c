"""Render a component of birdhouse-deploy: new files only, so it replaces none of the site's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

from ...errors import TopologyError
from ...protocol import PATH_PREFIX, QUERY_NAME
from ...topology import Backend, Service, Topology
from ...topology.model import InFront
from ...topology.urls import split_address
from ..naming import COMPONENT_PREFIX
from . import values
from .layout import proxy_ports, published_ports
from .strict import (
    REFUSE_ILL_FORMED,
    common_maps,
    document_location,
    document_variables,
    evidence_headers,
    location_blocks,
    passing_on,
    refuse_unknown,
    site_files,
)
from .tls import certificate_mounts

Layout = Literal["inner", "outer"]

_DIRECTIVES = "config/proxy/conf.extra-directives.d"
_SERVICES = "config/proxy/conf.extra-service.d"
_NAME = "pavics-affinity"
_VARIABLE = "PAVICS_AFFINITY_DIR"
# The stack's own servers listen there.
_TAKEN = ("80", "443")
# The proxy's container itself, as a backend.
_THIS_STACK = ("127.0.0.1", "localhost")
# Where the stack's proxy has the certificate, and its services' outputs.
_CERTIFICATE = "/etc/nginx/cert.pem"
_OUTPUTS = "/data/wps_outputs"

# A link with the key in its path redirects to the link with the key in its query.
_QUERY = f"${{affinity_joint}}{QUERY_NAME}=$affinity_path_key"
_JOINT = """\
map $affinity_uri $affinity_joint {
  default "?";
  "~[?]" "&";
}
"""

_DEFAULTS = f"""\
# In BIRDHOUSE_EXTRA_CONF_DIRS this directory comes last. env.local says where it is.
export {_VARIABLE}="${{{_VARIABLE}:-./optional-components/{_NAME}}}"

COMPONENT_DEPENDENCIES="
  ./components/proxy
  ./components/magpie
  ./components/twitcher
  ./components/wps_outputs-volume
"
"""


def render_birdhouse(topology: Topology, layout: Layout = "inner") -> dict[str, str]:
    """Return the files of an optional component, by path below its directory.

    ``"inner"``: Twitcher sends requests to a hash upstream for each service. ``"outer"``: the
    stack's proxy balances whole stacks, on its own ports.
    """
    if layout not in get_args(Layout):
        raise TopologyError(f"layout {layout!r}: expected one of {', '.join(get_args(Layout))}")
    _check_ports(topology)
    evidence = values.evidence_header(topology)
    rendered = (_inner if layout == "inner" else _outer)(topology, evidence)
    return {"default.env": _DEFAULTS} | rendered


def _check_ports(topology: Topology) -> None:
    for service in topology.services:
        if values.listen(service) in _TAKEN:
            raise TopologyError(
                f"service {service.name!r}: the stack's own proxy listens on "
                f"{values.listen(service)}; give the service another port (listen), such as 8443",
                key=f"services.{service.name}.listen",
            )


def _named(service: Service) -> Service:
    """Return a service renamed after its upstream, because a container has the service's name."""
    return replace(service, name=COMPONENT_PREFIX + service.name)


def _directives(topology: Topology, document: str, evidence: str) -> dict[str, str]:
    """Return the upstreams and their servers."""
    named = topology.with_services(map(_named, topology.services))
    of_services = site_files(named, evidence)
    common = "\n".join([common_maps(named), document, _JOINT])
    files = {"conf.d/00-affinity.conf": common, **of_services}
    return {name.replace("conf.d", _DIRECTIVES, 1): text for name, text in files.items()}


# ---- outer: a second server in the stack's proxy ----


def _outer(topology: Topology, evidence: str) -> dict[str, str]:
    files = _directives(topology, document_variables(topology, evidence=evidence), evidence)
    certificate = [
        mount for mount in certificate_mounts(topology) if not mount.startswith(f"{_CERTIFICATE}:")
    ]
    files["config/proxy/docker-compose-extra.yml"] = _override(
        "proxy", [_mount(_DIRECTIVES), *certificate], published_ports(topology)
    )
    return files


# ---- inner: behind Twitcher ----


def _inner(topology: Topology, evidence: str) -> dict[str, str]:
    # Twitcher reaches these servers by plain HTTP; they have nothing but the service.
    asked = [
        replace(service, url=None, path=None, outputs=None, aliases=(), publish=None)
        for service in topology.services
    ]
    tls: InFront | None = None if topology.tls is None else "in front"
    inside = replace(topology, services=tuple(asked), tls=tls)
    # Twitcher removes the evidence from answers, so the document does not promise it.
    document = document_variables(replace(topology, evidence=None), evidence=None)
    files = _directives(inside, document, evidence)
    if own := list(_own_nodes(topology)):
        files[f"{_DIRECTIVES}/{COMPONENT_PREFIX}own-node.conf"] = "\n".join(own)
    files[f"{_SERVICES}/{_NAME}.conf.template"] = "\n".join(_front(topology, evidence))
    mounts = [_mount(_DIRECTIVES), _mount(_SERVICES)]
    files["config/proxy/docker-compose-extra.yml"] = _override("proxy", mounts)
    targets = []
    for service in asked:
        name = f"{service.name}-providers.cfg"
        files[f"config/magpie/{name}"] = _provider(service)
        source = f"${{{_VARIABLE}}}/config/magpie/{name}"
        targets.append(f"{source}:${{MAGPIE_PROVIDERS_CONFIG_PATH}}/{name}:ro")
    files["config/magpie/docker-compose-extra.yml"] = _override("magpie", targets)
    return files


def _provider(service: Service) -> str:
    """Return Twitcher's entry for a service, a file that replaces the component's own."""
    return f"""\
providers:
  {service.name}:
    url: http://proxy:{service.listen_port}/wps
    title: {service.name.capitalize()}
    public: true
    c4i: false
    type: wps
    sync_type: wps
"""


def _front(topology: Topology, evidence: str) -> Iterator[str]:
    """Yield the locations for the stack's own server: document, links, and outputs by the hash."""
    yield from document_location()
    # Not a rewrite: access is decided by the original path.
    yield f"  location {PATH_PREFIX} {{"
    yield f"    return 307 $affinity_scheme://$http_host$affinity_uri{_QUERY};"
    yield "  }"
    named = topology.with_services(
        _named(replace(service, url=None, aliases=(), listen=_TAKEN[1]))
        for service in topology.services
        if service.outputs is not None
    )
    if not named.services:
        return
    settings = [
        "${SECURE_DATA_PROXY_AUTH_INCLUDE}",
        *evidence_headers(evidence),
        *passing_on(topology),
        REFUSE_ILL_FORMED,
    ]
    [port] = proxy_ports(named)
    for location in port.locations:
        if location.path:
            first = [*settings, refuse_unknown(location.service)]
            yield from location_blocks(location, first)


def _own_nodes(topology: Topology) -> Iterator[str]:
    """Yield a server for each backend on loopback: the stack's own container and outputs."""
    for service in topology.services:
        for backend in topology.backends(service):
            if _is_own(backend):
                yield from _own_node(service, backend)


def _own_node(service: Service, backend: Backend) -> Iterator[str]:
    if service.port is None:
        raise TopologyError(
            f"service {service.name!r}: node {backend.node!r} is this stack, at "
            f"{backend.address}, and the port of its container is not known; give the service "
            "a port",
            node=backend.node,
            key=f"services.{service.name}.port",
        )
    yield f"# This stack as node {backend.node}: its container, and its volume of outputs."
    yield "server {"
    yield f"  listen {values.address(backend, service)};"
    yield "  proxy_read_timeout 3600s;"
    yield "  client_max_body_size 1g;"
    yield f"  location / {{ proxy_pass http://{service.name}:{service.port}; }}"
    if service.outputs is not None:
        key = f"services.{service.name}.outputs"
        inside = values.path(service.outputs.backend, f"service {service.name!r}", key)
        yield f"  location {inside}/ {{ alias {_OUTPUTS}/{service.name}/; }}"
    yield "}\n"


def _is_own(backend: Backend) -> bool:
    parsed = split_address(backend.address or "")
    return parsed is not None and parsed[0].lower() in _THIS_STACK


# ---- compose ----


def _mount(directory: str) -> str:
    """Return the mount of a directory at birdhouse-deploy's extension point of the same name."""
    return f"${{{_VARIABLE}}}/{directory}:/etc/nginx/{directory.rpartition('/')[2]}/{_NAME}:ro"


def _override(service: str, mounts: list[str], more: list[str] | None = None) -> str:
    lines = ["services:", f"  {service}:", *(more or []), "    volumes:"]
    return "\n".join([*lines, *(f"      - {mount}" for mount in mounts), ""])
