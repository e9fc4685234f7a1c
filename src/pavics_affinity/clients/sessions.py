"""A user's own `requests.Session`, pinned to a workflow's node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from ..discovery import introduce
from ..errors import AdapterIgnoredWarning, InvalidRequest
from ..transport import AffinitySession, ambient_session
from ..warn import warn

AnySession = TypeVar("AnySession", bound=requests.Session)


class HasSession(Protocol):
    """A `Workflow`."""

    session: AffinitySession


class PinnedAdapter(BaseAdapter):
    """Hands requests to a workflow's adapter; closing it does not end the workflow."""

    def __init__(self, session: AffinitySession) -> None:
        super().__init__()
        self.session = session

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """Send a request by the workflow's adapter."""
        return self.session.affinity.send(request, *args, **options)

    def close(self) -> None:
        """Leave the workflow's connections open: they are not this session's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.session,)


def pin_session(
    session: AnySession, workflow: HasSession | None = None, *, hosts: Iterable[str] = ()
) -> AnySession:
    """Pin your own `requests.Session` to a workflow's node.

    Its authentication, cookies, proxies, certificates, headers and hooks stay as
    they are. A machineid among its headers is adopted as the workflow's.

    Parameters
    ----------
    session : requests.Session
        Changed, and returned. It may be closed without ending the workflow.
    workflow : Workflow, optional
        By default the current one.
    hosts : iterable of str
        Hosts, or URLs of services, that may receive the machineid, besides those
        of the workflow's topology and clients.

    Raises
    ------
    InvalidRequest
        It is not a `requests.Session`, or belongs to a workflow.
    MachineIdConflict
        Its headers name another machineid than the workflow's.
    """
    if not isinstance(session, requests.Session) or isinstance(session, AffinitySession):
        raise InvalidRequest(
            f"{session!r} cannot be pinned; expected a requests.Session of your own"
        )
    pinned = ambient_session() if workflow is None else workflow.session
    given = session.headers.get(pinned.pin.header)
    if given is not None:
        pinned.adopt(given)
    for host in [hosts] if isinstance(hosts, str) else hosts:
        pinned.pin.add_scope(host)
        introduce(pinned, host)
    for prefix, adapter in list(session.adapters.items()):
        if prefix.lower().startswith(("http://", "https://")):
            _warn_of_loss(prefix, adapter)
            # Requests to a longer prefix would bypass the pin.
            del session.adapters[prefix]
    for scheme in ("http://", "https://"):
        session.mount(scheme, PinnedAdapter(pinned))
    return session


def _warn_of_loss(prefix: str, adapter: Any) -> None:
    if isinstance(adapter, PinnedAdapter):
        return
    plain = type(adapter) is HTTPAdapter and adapter.max_retries.total in (0, False)
    if not plain:
        warn(
            f"the session's {type(adapter).__name__} for {prefix!r} is replaced: its retries and "
            "TLS context do not apply to a pinned session; use verify and cert, and the "
            "workflow's deadline",
            AdapterIgnoredWarning,
        )
