"""URLs that lead to a workflow's node by themselves, for whoever sends no header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import Form, has_key, name_key, with_key

if TYPE_CHECKING:
    from ..topology import Topology
    from .pin import Pin


def link(pin: Pin, url: str, *, form: Form = "path", ask_node: bool = False) -> str | None:
    """Return a URL of the same resource that leads to the workflow's node.

    Parameters
    ----------
    pin : Pin
        The workflow's. Its node stays from now on.
    url : str
        As a document of the service has it.
    form : {"path", "query"}
        Where a strict proxy is to find the routing key.
    ask_node : bool
        Prefer the node's own URL to the proxy's.

    Returns
    -------
    str or None
        None where nothing but a header leads to the node: behind a plain proxy
        whose nodes' addresses are not known.

    Raises
    ------
    BackendUnavailable, SteeringImpossible, TopologyError
        As `Pin.route`.
    """
    if pin.node_of_url(url) is not None:
        return url
    target = pin.route(url)
    pin.sent(target)
    topology = None if target.site is None else target.site.topology
    if target.route == "direct":
        return target.url
    if topology is None or target.node is None or target.key is None:
        return None
    own = topology.to_node(url, target.node)
    if topology.proxy != "strict" or (ask_node and own is not None):
        return own
    return with_key(url, target.key, form)


def shown_link(pin: Pin, url: str) -> str | None:
    """Return a URL of the same resource for a browser, without deciding or asking anything.

    Parameters
    ----------
    pin : Pin
        The workflow's; it is left as it is.
    url : str
        As a document of the service has it.

    Returns
    -------
    str or None
        None where only a header leads to the node, as far as is known.
    """
    if pin.node_of_url(url) is not None or not pin.in_scope(url):
        return url
    for site in pin.sites:
        topology, node = site.topology, site.node or pin.node
        if topology is None or topology.covering(url) is None:
            continue
        if node is None or not site.has(node):
            return None
        if pin.route_policy == "direct" or site.direct or topology.proxy != "strict":
            return topology.to_node(url, node)
        return with_key(url, name_key(pin.machineid, node), "path")
    return None


def leads_by_itself(topology: Topology, url: str) -> bool:
    """Tell whether the URL holds a routing key where the site's proxy looks for one."""
    return topology.proxy == "strict" and has_key(url)
