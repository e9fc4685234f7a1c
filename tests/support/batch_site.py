"""A rendered proxy in front of the cluster."""

from __future__ import annotations

from typing import Any

from pavics_affinity.proxy.render import render_proxy

STRICT: dict[str, Any] = {
    "proxy": "nginx",
    "proxy_style": "strict",
    "evidence": "X-Pavics-Node",
    "proxy_config": render_proxy,
}
