"""The session of one workflow, a `requests.Session` whose every request is pinned; the ambient one.

One module, because it is one class: each method replaces one that requests calls.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, Token
from typing import Any, TypeVar

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url

from ..errors import (
    AdapterIgnoredWarning,
    AffinityError,
    InvalidRequest,
    MachineIdConflict,
    OutOfScope,
    RedirectLoop,
)
from ..machineid import validate_machineid
from ..pin import Pin
from ..protocol import split_key
from ..record import NodeKnown, Record
from ..topology.sources import default_sources
from ..topology.urls import checked_url, origin_of, shown
from ..warn import warn
from .credentials import (
    NEUTRAL_HEADERS,
    CookiePolicy,
    OriginSettings,
    check_headers,
    environment_proxies,
    is_login,
    is_upgrade,
    jar_of,
    names_of,
    netrc_login,
    nothing_added,
    withhold_cookies,
)
from .exchange import AffinityAdapter
from .times import (
    DEFAULT_DEADLINE,
    DEFAULT_PATIENCE,
    Seconds,
    Timeout,
    as_patience,
    as_timeout,
    deadline,
    in_seconds,
)

T = TypeVar("T")


DEFAULT_EMBED_LIMIT = 7_000_000
"""lxml, and so PyWPS, refuses a text above 10,000,000 characters; base64 adds a third."""


class AffinitySession(requests.Session):
    """A `requests.Session` that keeps to its workflow's node.

    A host out of scope is sent nothing that was set on the session: its ``auth``,
    ``cert``, headers, parameters and cookies without a domain go to hosts in scope only.

    Parameters
    ----------
    pin : Pin
        The workflow's machineid and node.
    record : Record, optional
        Where each request is noted; by default a new one.
    timeout : float, timedelta or (connect, read), optional
        In seconds, for requests that come without one.
    deadline : float or timedelta, default 10 s
        For how long a request that may be repeated is repeated.
    embed_limit : int, default 7,000,000
        Bytes of an output that may be embedded in a request.
    patience : float or timedelta, default 5 minutes
        For how long an Execute waits for a place in a full queue.
    """

    def __init__(
        self,
        pin: Pin,
        *,
        record: Record | None = None,
        timeout: Timeout = None,
        deadline: Seconds = DEFAULT_DEADLINE,
        embed_limit: int = DEFAULT_EMBED_LIMIT,
        patience: Seconds = DEFAULT_PATIENCE,
    ) -> None:
        super().__init__()
        self._policy = CookiePolicy()
        self.cookies.set_policy(self._policy)
        self.affinity = AffinityAdapter(
            pin,
            Record() if record is None else record,
            timeout=as_timeout(timeout),
            deadline=in_seconds(deadline),
            patience=as_patience(patience),
        )
        #: Machineid and node per site.
        self.pin = pin
        #: What each request did.
        self.record = self.affinity.record
        for adapter in self.adapters.values():
            adapter.close()
        self.adapters.clear()
        for scheme in ("http://", "https://"):
            self.mount(scheme, self.affinity)
        #: Bytes of an output that may be embedded in a request; none if it is 0.
        self.embed_limit = _checked_limit(embed_limit)
        #: The smallest request with embedded content that a service has refused, by its URL.
        self.refused_sizes: dict[str, int] = {}
        #: Weak reference to the `Workflow` on this session, while there is one.
        self.workflow: Callable[[], Any] | None = None
        #: Undone when the session is closed: temporary files, above all.
        self.ends = contextlib.ExitStack()
        weakref.finalize(self, self.ends.close)
        self._shared: dict[type[Any], Any] = {}

    @property
    def machineid(self) -> str:
        """The workflow's identity."""
        return self.pin.machineid

    @property
    def node(self) -> str | None:
        """The workflow's node, where it is known."""
        return self.pin.node

    @property
    def node_known(self) -> NodeKnown:
        """How the node is known: ``"unknown"``, ``"predicted"`` or ``"proved"``."""
        return self.pin.node_known

    @property
    def closed(self) -> bool:
        """Whether the session refuses further requests."""
        return self.affinity.closed

    def shared(self, kind: type[T]) -> T:
        """Return the one object of this class that all clients of the session share."""
        if kind not in self._shared:
            self._shared.setdefault(kind, kind())
        found: T = self._shared[kind]
        return found

    def bind(
        self,
        url: str,
        *,
        auth: Any = None,
        verify: bool | str | None = None,
        cert: str | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make a service known: its host joins the scope, its secrets stay with its origin.

        Parameters
        ----------
        url : str
            The service's URL.
        auth : tuple or requests auth, optional
            Sent to exactly this scheme, host and port. By default the URL's user
            and password, where it has them.
        verify : bool or path, optional
            As requests takes it; for this origin only.
        cert : path or (path, path), optional
            Client certificate; for this origin only.
        headers : mapping, optional
            Added to each request to this origin. A machineid among them is
            adopted as the workflow's. The mapping is not changed.

        Raises
        ------
        InvalidMachineId, MachineIdConflict
            The machineid among the headers cannot be the workflow's.
        InvalidRequest
            A header cannot be sent.
        """
        extra = {}
        for name, value in (headers or {}).items():
            if str(name).lower() == self.pin.header.lower():
                self.adopt(value)
            elif str(name).lower() != "content-type":
                # OWSLib leaves its Content-Type behind in a caller's dict.
                extra[name] = value
        check_headers(extra, url)
        if auth is None and any(login := get_auth_from_url(url)):
            auth = login
        if isinstance(auth, tuple | list):
            auth = HTTPBasicAuth(*auth)
        self.affinity.origins.put(
            url, OriginSettings(auth=auth, verify=verify, cert=cert, headers=extra)
        )
        self.pin.add_scope(url)
        self.pin.places.add_service(url)

    def adopt(self, machineid: Any) -> None:
        """Take the machineid of a script that sets the header itself.

        Raises
        ------
        MachineIdConflict
            The workflow has another one already, or has begun.
        """
        text = machineid.decode("latin-1") if isinstance(machineid, bytes) else machineid
        bare = validate_machineid(split_key(text)[0] if isinstance(text, str) else text)
        if not self.pin.adopt(bare):
            raise MachineIdConflict(
                f"the headers name machineid {bare!r}, and the workflow's is "
                f"{self.machineid!r}; leave the header out, pass it to the first client, too, or "
                f"make the workflow with Workflow({bare!r})",
                machineid=self.machineid,
            )

    def deadline(self, seconds: Seconds | None) -> contextlib.AbstractContextManager[None]:
        """Bound the repeating of the requests that are made inside; see `times.deadline`."""
        return deadline(seconds)

    def note_reference(self, url: str) -> None:
        """Take a status location or output that names a node as evidence.

        Raises
        ------
        AffinityLost
            It names another node than the workflow's.
        """
        self.pin.note_reference(url)

    # ---- what requests asks on a request's way, and on each redirect's ----

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request, with the credentials of its origin where it brings none.

        Raises
        ------
        OutOfScope
            Its URL cannot be requested.
        InvalidRequest
            A header or a login cannot be sent.
        """
        given = request.url
        url = given.decode("latin-1") if isinstance(given, bytes) else given
        url = request.url = checked_url(url, "the request")
        origin = origin_of(url)
        in_scope = self.pin.receives(origin)
        if request.auth is None:
            request.auth = self.affinity.origins[origin].auth
        check_headers(request.headers or {}, url)
        own: set[str] = set()
        if not in_scope:
            self.pin.warn_if_outside(url)
            if request.auth is None:
                request.auth = self._netrc(url) or nothing_added
            withheld = {n: None for n in self.headers if n.lower() not in NEUTRAL_HEADERS}
            request.headers = {**withheld, **(request.headers or {})}
            request.params = self._own_params(request.params)
            own = {cookie.name for cookie in self.cookies if not cookie.domain}
        if not self.params:
            request.params = request.params or None  # which requests need not merge
        try:
            prepared = super().prepare_request(request)
        except UnicodeError:
            raise InvalidRequest(
                f"{shown(url)} was not requested: its user and password, or the content, have a "
                "character that cannot be sent there. A login is sent in Latin-1; "
                "for UTF-8 pass auth=HTTPBasicAuth(user.encode(), password.encode())",
                url=url,
                machineid=self.machineid,
            ) from None
        check_headers(prepared.headers, url)  # those of the session and the cookies, too
        if self.cookies or request.cookies:
            headers = request.headers or {}
            # A Cookie header that was given is the one that is sent.
            if not any(value and name.lower() == "cookie" for name, value in headers.items()):
                withhold_cookies(prepared, own - names_of(request.cookies))
        return prepared

    def _own_params(self, given: Any) -> Any:
        """Return a request's parameters such that requests adds none of the session's."""
        if isinstance(self.params, Mapping) and isinstance(given or {}, Mapping):
            return {**dict.fromkeys(self.params), **(given or {})}
        return given or {}

    def _netrc(self, url: str) -> tuple[str, str] | None:
        """Return the user's login for the URL's host; ``default`` counts for hosts in scope."""
        return netrc_login(url, default=self.pin.in_scope(url)) if self.trust_env else None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request, and follow where it is redirected to.

        Raises
        ------
        OutOfScope
            Its URL, or that of a redirect, cannot be requested.
        """
        checked_url(request.url, "the request")
        jar = getattr(request, "_cookies", None)  # those of its redirects are kept here
        if jar is not None:
            jar.set_policy(self._policy)
        given = options.get("cert", self.cert)
        if given is not None and given == self.cert and not self.pin.in_scope(request.url or ""):
            options["cert"] = None
        return super().send(request, **options)

    def resolve_redirects(
        self, resp: requests.Response, req: requests.PreparedRequest, *args: Any, **options: Any
    ) -> Iterator[Any]:
        """Follow redirects; a certificate given for one request stays with that one.

        Raises
        ------
        RedirectLoop
            There are too many of them.
        OutOfScope
            One leads to something else than an http or https URL.
        """
        options["cert"] = self.cert
        try:
            yield from super().resolve_redirects(resp, req, *args, **options)
        except AffinityError:
            raise
        except requests.TooManyRedirects as error:
            raise RedirectLoop(
                f"{shown(req.url or '')} was redirected {self.max_redirects} times, the last time "
                f"by {shown(error.response.url if error.response is not None else '')}; "
                "nothing was fetched. Check the URL",
                machineid=self.machineid,
                url=req.url,
                attempts=self.max_redirects,
            ) from error
        except ValueError as error:  # an invalid URL raises several kinds of it
            raise OutOfScope(
                f"{shown(req.url or '')} was redirected to something that is not a URL "
                f"({str(error)[:200]}). Check the URL, or ask the service's operator",
                machineid=self.machineid,
                url=req.url,
            ) from error

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Return whether a redirect leads to where a login must not go along."""
        old, new = origin_of(old_url), origin_of(new_url)
        return old is None or (old != new and not is_upgrade(old_url, new_url))

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove, on a redirect, what the new place must not receive; give it its own login."""
        url = prepared_request.url or ""
        before = response.request.url or ""
        origins = self.affinity.origins
        if is_upgrade(before, url):
            origins.upgrade(before, url)
        auth = origins.of(url).auth
        strip = self.should_strip_auth(before, url)
        if strip or (auth is not None and is_upgrade(before, url)):
            prepared_request.headers.pop("Authorization", None)
            # Digest answers challenges by a hook, and would answer those of any server.
            kept = [hook for hook in prepared_request.hooks["response"] if not is_login(hook)]
            prepared_request.hooks = {**prepared_request.hooks, "response": kept}
            auth = auth or self._netrc(url)
            if auth is not None:
                prepared_request.prepare_auth(auth)
        if self.pin.in_scope(url):
            return
        for name in list(prepared_request.headers):
            if name.lower() not in {*NEUTRAL_HEADERS, "authorization", "cookie"}:
                del prepared_request.headers[name]
        own = {cookie.name for cookie in jar_of(prepared_request) if not cookie.domain}
        withhold_cookies(prepared_request, own)

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Merge what a request brings with the environment and the session, as requests does."""
        proxies = proxies or {}  # requests takes None from 2.34 on
        if not self.trust_env or "no_proxy" in proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        if verify is True or verify is None:
            bundles = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
            verify = next(filter(None, bundles), verify)
        merged = {**(self.proxies or {}), **environment_proxies(url), **proxies}
        return {
            "proxies": {scheme: proxy for scheme, proxy in merged.items() if proxy is not None},
            "stream": self.stream if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }

    def mount(self, prefix: str | bytes, adapter: Any) -> None:
        """Mount an adapter for other schemes; one for http or https is left out, with a warning.

        Libraries mount one to have requests repeated. It would send them past the
        workflow, which repeats what may be repeated by itself.
        """
        text = prefix.decode("latin-1") if isinstance(prefix, bytes) else prefix
        own = getattr(self, "affinity", None)  # requests mounts two before there is one
        if own is None or adapter is own or not text.lower().startswith(("http://", "https://")):
            super().mount(prefix, adapter)
            return
        warn(
            f"a {type(adapter).__name__} for {text!r} is left out of workflow {self.machineid!r}: "
            "its requests would go out without the machineid. The workflow repeats requests "
            "itself, until its deadline, if they may be repeated",
            AdapterIgnoredWarning,
        )

    def refuse(self) -> None:
        """Have further requests raise `WorkflowClosed`; the last one's answer is still read."""
        self.affinity.closed = True

    def close(self) -> None:
        """Close the connections; further requests raise `WorkflowClosed`. May be repeated."""
        super().close()
        self.ends.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # A session's locks and connections do not travel; what it stands for does.
        options = {
            "timeout": self.affinity.timeout,
            "deadline": self.affinity.deadline,
            "embed_limit": self.embed_limit,
            "patience": self.affinity.patience,
        }
        return _rebuild, (self.pin.state(), options)


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise InvalidRequest(
            f"embed_limit is {limit!r}; expected a number of bytes, such as 7_000_000, or 0 to "
            "embed nothing"
        )
    return limit


def _rebuild(state: Mapping[str, Any], options: Mapping[str, Any]) -> AffinitySession:
    return AffinitySession(Pin.of(state), **options)


# ---- the ambient one: that of the innermost `with`, else that of this Python process ----

MACHINEID_VARIABLE = "PAVICS_AFFINITY_MACHINEID"

_AMBIENT: ContextVar[AffinitySession | None] = ContextVar("pavics_affinity_session", default=None)
_LOCK = threading.Lock()
_OF_PROCESS: list[AffinitySession] = []


def ambient_session() -> AffinitySession:
    """Return the session that a client uses when it is given none.

    Returns
    -------
    AffinitySession
        That of the innermost ``with Workflow()`` of this thread or task; else
        the one of this Python process, whose machineid is taken from
        ``PAVICS_AFFINITY_MACHINEID`` or minted once.
    """
    ambient = _AMBIENT.get()
    if ambient is not None:
        return ambient
    with _LOCK:
        if not _OF_PROCESS or _OF_PROCESS[0].closed:
            given = os.environ.get(MACHINEID_VARIABLE)
            pin = Pin(given or None, sources=default_sources())
            _OF_PROCESS[:] = [AffinitySession(pin)]
        return _OF_PROCESS[0]


def use_session(session: AffinitySession) -> Token[AffinitySession | None]:
    """Make a session the ambient one of this context; returns the token to undo it."""
    return _AMBIENT.set(session)


def reset_session(token: Token[AffinitySession | None]) -> None:
    """Undo `use_session`; in another context than its own there is nothing to undo."""
    try:
        _AMBIENT.reset(token)
    except ValueError:
        return
