"""What is handed to programs that do not send their requests through a session of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ..discovery import introduce
from ..errors import InvalidRequest, SteeringImpossible
from ..pin.links import Form, link
from .urls import web_url

if TYPE_CHECKING:
    from ..transport import AffinitySession


def headers_for(session: AffinitySession, url: str) -> dict[str, str]:
    """Return the request headers that lead to the workflow's node; see `Workflow.headers`."""
    pin = session.pin
    web_url(url, base="", what="what the headers are for")
    pin.add_scope(url)
    introduce(session, url)
    target = pin.route(url)
    if target.url != url:
        raise InvalidRequest(
            f"the requests of workflow {session.machineid!r} go to node {target.node!r} itself: "
            f"fetch {target.url!r}, which .link({url!r}) returns, in place of {url!r}",
            machineid=session.machineid,
            node=target.node,
            url=url,
        )
    pin.sent(target)
    return {target.header: session.machineid if target.key is None else target.key}


def link_for(session: AffinitySession, url: str, form: Form = "path") -> str:
    """Return a URL that leads to the workflow's node by itself; see `Workflow.link`."""
    if form not in get_args(Form):
        raise InvalidRequest(f"form is {form!r}; expected 'path' or 'query'")
    web_url(url, base="", what="what is to be linked")
    session.pin.add_scope(url)
    introduce(session, url)
    found = link(session.pin, url, form=form)
    if found is None:
        raise SteeringImpossible(
            f"no link leads to the workflow's node for {url}: behind a plain proxy only a request "
            "header does. Use .headers(url) or .session, or give the workflow a topology that has "
            "the nodes' addresses, or a strict proxy",
            machineid=session.machineid,
            node=session.node,
            url=url,
        )
    return found
