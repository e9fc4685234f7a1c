"""URLs that lead to a workflow's node by themselves, for whoever sends no header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import Form, has_key, name_key, with_key

if TYPE_CHECKING:
    from ..topology import Topology
    from .pin import Pin


def link(pin: Pin, url: str, *, form: Form = "path", ask_node: bool = False) -> str | None:
    """Return a URL of the same resource that leads to the workflow's node, which stays from now on.

    `form` says where a strict proxy finds the routing key; with `ask_node` the node's own URL is
    preferred. None if only a header leads to the node: behind a plain proxy, if the topology does
    not have the nodes' addresses. Raises as `Pin.route` does.
    """
    if pin.node_of_url(url) is not None:
        return url
    target = pin.hold(url)
    topology = target.topology
    if target.route == "direct":
        return target.url
    if topology is None or target.node is None or target.key is None:
        return None
    own = topology.to_node(url, target.node)
    if topology.proxy != "strict" or (ask_node and own is not None):
        return own
    return with_key(url, target.key, form)


def shown_link(pin: Pin, url: str) -> str | None:
    """Return a URL of the same resource for a browser; None if only a header leads to the node.

    Nothing is decided, requested or changed by it.
    """
    if pin.node_of_url(url) is not None or not pin.in_scope(url):
        return url
    for site in pin.sites:
        topology, node = site.topology, site.node or pin.node
        if topology is None or topology.covering(url) is None:
            continue
        if node is None or not site.has(node):
            return None
        if pin.route_policy == "direct" or site.via == "direct" or topology.proxy != "strict":
            return topology.to_node(url, node)
        return with_key(url, name_key(pin.machineid, node), "path")
    return None


def leads_by_itself(topology: Topology, url: str) -> bool:
    """Tell whether the URL holds a routing key where the site's proxy looks for one."""
    return topology.proxy == "strict" and has_key(url)
