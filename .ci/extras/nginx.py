"""A site is read from nginx's files."""

from pathlib import Path

import pavics_affinity

Path("site.conf").write_text(
    """
    upstream finch { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }
    server { listen 58093; location / { proxy_pass http://finch; } }
    """,
    encoding="utf-8",
)
topology = pavics_affinity.read_nginx("site.conf")
assert len(topology.nodes) == 2, topology
print("reads a topology of 2 nodes")
