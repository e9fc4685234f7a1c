"""Headers and links for programs that do not send their requests through our session."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

from ..discovery import introduce
from ..errors import InvalidRequest, OutOfScope, SteeringImpossible
from ..protocol import Form
from .http.urls import web_url

if TYPE_CHECKING:
    from ..transport import AffinitySession


def headers_for(session: AffinitySession, url: str) -> dict[str, str]:
    """Return the request headers that lead to the workflow's node; see `Workflow.headers`."""
    pin = session.pin
    _check_scope(session, web_url(url, base="", what="what the headers are for"))
    introduce(session, url)
    target = pin.route(url)
    if target.url != url:
        raise InvalidRequest(
            f"the requests of workflow {session.machineid!r} go to node {target.node!r} itself: "
            f"fetch {target.url!r}, which .link({url!r}) returns, instead of {url!r}",
            about=session,
            node=target.node,
            url=url,
        )
    pin.executed(target)
    return {target.header: session.machineid if target.key is None else target.key}


def _check_scope(session: AffinitySession, url: str) -> None:
    """Raise `OutOfScope` for a host that a document may have named.

    The first URL of a workflow is from its user: no document of its services was read yet.
    """
    pin = session.pin
    if not pin.has_scope:
        pin.add_scope(url)
    if pin.in_scope(url) or pin.node_of_url(url) is not None:
        return
    host = urlsplit(url).hostname
    raise OutOfScope(
        f"{url!r} is on host {host!r}, which is not one of the hosts of workflow "
        f"{session.machineid!r}. A service's document may name any host, so this one does not "
        f"receive the machineid. If it belongs to the site, call .add_scope({host!r}) first; "
        "if it does not, the URL needs neither header nor link",
        about=session,
        url=url,
    )


def link_for(session: AffinitySession, url: str, form: Form = "path") -> str:
    """Return a URL that leads to the workflow's node by itself; see `Workflow.link`."""
    if form not in get_args(Form):
        raise InvalidRequest(f"form is {form!r}; expected 'path' or 'query'")
    _check_scope(session, web_url(url, base="", what="what the link is for"))
    introduce(session, url)
    found = session.pin.link(url, form=form)
    if found is None:
        raise SteeringImpossible(
            f"no link leads to the workflow's node for {url}: behind a plain proxy only a request "
            "header does. Use .headers(url) or .session, or give the workflow a topology that has "
            "the nodes' addresses, or a strict proxy",
            about=session,
            url=url,
        )
    return found
