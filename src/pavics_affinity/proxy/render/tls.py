"""Render where TLS ends: at the proxy, with a certificate, or in front of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...errors import TopologyError
from ...topology import Tls, Topology
from .layout import ProxyPort

# Mozilla's intermediate settings (version 5.7), without the ciphers that need ssl_dhparam.
_CIPHERS = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)


def check_tls(topology: Topology) -> None:
    """Raise `TopologyError` for https URLs if the topology does not say where TLS ends."""
    if topology.tls is not None:
        return
    for service in topology.services:
        outputs = None if service.outputs is None else service.outputs.public
        for key, url in (("url", service.url), ("outputs", outputs)):
            if url is not None and urlsplit(url).scheme == "https":
                raise TopologyError(
                    f"service {service.name!r}: {url} is https, and the topology does not say "
                    'where TLS ends. Write tls = { certificate = "/...", key = "/..." } if it '
                    'ends at this proxy, or tls = "in front" if another proxy ends it and '
                    "passes requests on",
                    key=f"services.{service.name}.{key}",
                )


def listen_lines(topology: Topology, port: ProxyPort) -> list[str]:
    """Return the ``listen`` line of a port, and the lines for its certificate."""
    if not port.tls or not isinstance(topology.tls, Tls):
        return [f"  listen {port.listen};"]
    return [
        # Not "http2 on;", which nginx before 1.25.1 refuses; newer ones take both.
        f"  listen {port.listen} ssl http2;",
        f"  ssl_certificate {topology.tls.certificate};",
        f"  ssl_certificate_key {topology.tls.key};",
        "  ssl_protocols TLSv1.2 TLSv1.3;",
        f"  ssl_ciphers {_CIPHERS};",
        "  ssl_prefer_server_ciphers off;",
        "  ssl_session_cache shared:affinity:10m;",
        "  ssl_session_timeout 1d;",
        "  ssl_session_tickets off;",
    ]


def certificate_mounts(topology: Topology) -> list[str]:
    """Return docker-compose's mounts of the certificate and its key, if the proxy ends TLS."""
    tls = topology.tls
    files = dict.fromkeys([tls.certificate, tls.key] if isinstance(tls, Tls) else [])
    return [f"{file}:{file}:ro" for file in files]


def scheme_map(topology: Topology) -> str:
    """Return the map that finds the scheme that clients use, for the backends."""
    if isinstance(topology.tls, Tls):
        why = "TLS ends here: the X-Forwarded-Proto of a client does not count."
        source, entries = "$scheme", ["default $scheme;"]
    elif topology.tls is not None:
        why = "TLS ends in front of this proxy: https, unless the proxy there says otherwise."
        source, entries = "$http_x_forwarded_proto", ["default https;", "http http;"]
    else:
        why = "The scheme that clients use, also behind another proxy that ends TLS."
        source = "$http_x_forwarded_proto"
        entries = ["default $scheme;", f'"~^https?$" {source};']
    lines = [f"# {why}", f"map {source} $affinity_scheme {{", *(f"  {e}" for e in entries), "}"]
    return "\n".join([*lines, ""])
