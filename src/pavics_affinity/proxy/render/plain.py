"""Render the plain style: a ``hash`` over the header, and nothing else."""

from __future__ import annotations

from ...topology import Backend, Service, Topology
from . import values
from .layout import Location, ProxyPort, proxy_files
from .tls import listen_lines
from .values import NODE_VARIABLE, node_map


def render_plain(topology: Topology) -> dict[str, str]:
    """Return the files of a plain proxy: text by path below ``config/proxy``."""
    variable = "$http_" + values.variable_part(topology.header)
    files = {"nginx.conf": _main(topology)}
    evidence = ""
    if topology.evidence is not None:
        evidence = values.header_name(topology.evidence, "evidence")
        files["conf.d/00-affinity.conf"] = "\n".join([*node_map(topology), ""])
    return files | proxy_files(
        topology,
        lambda service: _upstream(topology, service, variable),
        lambda port: _server(topology, port, evidence),
    )


def _upstream(topology: Topology, service: Service, variable: str) -> str:
    backends = topology.backends(service)
    method = f"  {service.method.replace('hash', f'hash {variable}', 1)};"
    servers = [f"  server {_server_line(backend, service)};" for backend in backends]
    # nginx refuses a backup after the hash.
    late = any(backend.backup for backend in backends)
    lines = [*servers, method] if late else [method, *servers]
    return "\n".join([f"upstream {service.name} {{", *lines, "}", ""])


def _server_line(backend: Backend, service: Service) -> str:
    line = values.address(backend, service) + values.weight(backend, service)
    return line + " down" * backend.down + " backup" * backend.backup


def _server(topology: Topology, port: ProxyPort, evidence: str) -> str:
    lines = ["server {", *listen_lines(topology, port)]
    if port.tls:
        lines.append("  proxy_set_header X-Forwarded-Proto https;")
    if evidence:
        lines.append(f"  add_header {evidence} ${NODE_VARIABLE} always;")
    for location in port.locations:
        lines += _location(location, _target(topology, location))
    # Do not ask a service for a file of a node that does not exist.
    lines += [f"  location {place}/ {{ return 404; }}" for place in port.node_places]
    if not port.has_root:
        lines.append("  location / { return 404; }")
    return "\n".join([*lines, "}", ""])


def _target(topology: Topology, location: Location) -> str:
    """Return what follows ``proxy_pass``, without a path: the upstream, or the one node."""
    scheme = "https" if location.service.tls else "http"
    if location.node is None:
        return f"{scheme}://{location.service.name}"
    backends = topology.backends(location.service)
    backend = next(each for each in backends if each.node == location.node)
    address = values.address(backend, location.service)
    return f"{scheme}://{address}{':' if address.lower().startswith('unix:') else ''}"


def _location(location: Location, target: str) -> list[str]:
    path, backend = location.path, location.backend
    exact, below = (backend or "/", f"{backend}/") if location.changes_path else ("", "")
    whole = [f"  location = {path} {{ proxy_pass {target}{exact}; }}"] if path else []
    return [*whole, f"  location {path}/ {{ proxy_pass {target}{below}; }}"]


def _main(topology: Topology) -> str:
    return f"""\
worker_processes {topology.workers};
events {{ worker_connections {topology.connections}; }}
http {{
  include /etc/nginx/conf.d/*.conf;
}}
"""
