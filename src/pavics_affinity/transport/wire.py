"""What goes onto the wire: a copy of the request, with the routing key and the login in."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3

from ..errors import MachineIdConflict, OutOfScope
from ..pin import Pin, Target
from ..protocol import split_key
from ..topology.urls import Origin, origin_of
from .credentials import Origins, OriginSettings, check_files, environment_proxies

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")

_LONGEST_REFUSAL = 8_192
"""Bytes of an exception report that may be a security proxy's own."""

_SHOWN = 200
_REFUSAL = (
    rb"<ExceptionText>(?P<words>"
    rb"(?:Response is not ok: (?P<reason>[\w -]+)|(?P<failed>Request failed: ))[^<]*"
    rb")</ExceptionText>"
)
_REASONS = {
    "misdirected request": 421,
    "bad gateway": 502,
    "service temporarily unavailable": 503,
    "service unavailable": 503,
    "gateway time-out": 504,
    "gateway timeout": 504,
}
"""What servers write beside a status; Twitcher passes on the words only."""


class WireRequest(requests.PreparedRequest):
    """A prepared request as it leaves; `tls_name` if a node shows its service's certificate.

    `options` are those of `requests.adapters.HTTPAdapter.send`.
    """

    tls_name: str | None = None
    options: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def copy_of(cls, request: requests.PreparedRequest, url: str) -> WireRequest:
        """Copy a request for another URL; the caller's is left as it is."""
        wire = cls()
        wire.method = request.method
        wire.url = url
        wire.headers = request.headers.copy() if request.headers is not None else None
        wire._cookies = None  # type: ignore[attr-defined]  # the Cookie header is set already
        wire.body = request.body
        wire.hooks = {"response": []}
        wire._body_position = getattr(request, "_body_position", None)  # type: ignore[attr-defined]  # as PreparedRequest.copy
        return wire


class WireResponse(requests.Response):
    """An answer that reports to `ended`, when it is closed, how many bytes of its body came."""

    ended: Callable[[int], None] | None = None
    _handed_on = 0

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        ended, self.ended = self.ended, None
        if ended is not None:
            ended(self.came)
        super().close()

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Any:
        """Hand the body on in pieces, and count those of a chunked one."""
        pieces = super().iter_content(chunk_size, decode_unicode)
        counts = getattr(self.raw, "chunked", False) and not self._content_consumed  # type: ignore[attr-defined]  # requests' own
        return self._counted(pieces) if counts else pieces

    @property
    def came(self) -> int:
        """Bytes of the body that came so far, over the wire.

        urllib3 does not count those of a chunked body that it passes on piece by
        piece; there it is the bytes after any decompression.
        """
        return max(int(self.raw.tell()), self._handed_on)

    def _counted(self, pieces: Iterable[Any]) -> Iterator[Any]:
        for piece in pieces:
            self._handed_on += len(piece)
            yield piece


def wrapped_refusal(response: requests.Response) -> tuple[int, str] | None:
    """Return the status that a security proxy hides in its own 400, and its words; None if none.

    Such an answer is short and states its length.
    """
    length = response.headers.get("Content-Length", "")
    if response.status_code != 400 or "xml" not in response.headers.get("Content-Type", ""):
        return None
    if not length.isdecimal() or len(length) > 4 or int(length) > _LONGEST_REFUSAL:
        return None
    return hidden_status(_read_ahead(response))


def hidden_status(body: bytes) -> tuple[int, str] | None:
    """Return the status that the body of a 400 stands for, and its words; None if it is none.

    Twitcher sends an exception report, in the form of a service's own, where what is behind it
    answers with an error that is not a report, or does not answer at all.
    """
    found = re.search(_REFUSAL, body)
    if found is None:
        return None
    status = 502 if found["failed"] else _REASONS.get(found["reason"].decode().strip().lower())
    import html

    words = html.unescape(found["words"].decode(errors="replace"))
    return None if status is None else (status, " ".join(words.split())[:_SHOWN])


def _read_ahead(response: requests.Response) -> bytes:
    """Read a body whose length is known, and leave it to be read again."""
    raw = response.raw
    try:
        body: bytes = raw.read(decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.ConnectionError(error) from error
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(body), raw.headers, raw.status, preload_content=False
    )
    return body


def is_execute(request: requests.PreparedRequest) -> bool:
    """Return whether a request makes something happen, so that it must not be repeated.

    Every method but GET, HEAD and OPTIONS, and WPS's Execute by GET, whose
    key and value may be written in any case.
    """
    if (request.method or "").upper() not in SAFE_METHODS:
        return True
    asked = _parameters(request.url or "").get("request", ())
    return any(value.strip().lower() == "execute" for value in asked)


def label_of(request: requests.PreparedRequest) -> str:
    """Say what a request is for, as far as its query tells."""
    query = _parameters(request.url or "")
    return " ".join(query[name][-1] for name in ("request", "identifier") if name in query)


@lru_cache(maxsize=256)
def _parameters(url: str) -> Mapping[str, list[str]]:
    """Return the values in a URL's query by their name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(url).query):
        found.setdefault(name.lower(), []).append(value)
    return MappingProxyType(found)


# ---- what leaves ----


class Options(NamedTuple):
    """As requests gives them to an adapter."""

    stream: bool = False
    verify: bool | str = True
    cert: Any = None
    proxies: Any = None


def outgoing(
    request: requests.PreparedRequest, target: Target, pin: Pin, origins: Origins, given: Options
) -> WireRequest:
    """Copy a request for its target.

    Raises
    ------
    MachineIdConflict
        It brings another machineid than the workflow's.
    OutOfScope
        A login for https would go to a node in clear.
    InvalidRequest
        A file of certificates does not exist.
    """
    url = request.url or ""
    wire = WireRequest.copy_of(request, target.url)
    for name in {target.header, pin.header}:
        if name in wire.headers:
            _drop_own_key(wire.headers, name, target, pin, url)
    if target.key is not None:
        wire.headers[target.header] = target.key
    settings, proxies = origins[target.origin], given.proxies
    verify = given.verify if settings.verify is None else settings.verify
    if target.url != url:
        settings = _of_the_node(wire, settings, pin, origins, target.origin, url)
        verify = verify if settings.verify is None else settings.verify
        proxies = environment_proxies(target.url)
    for name, value in settings.headers.items():
        wire.headers.setdefault(name, value)
    cert = settings.cert if given.cert is None else given.cert
    if not isinstance(verify, bool) or cert is not None:
        over_tls = target.url.lower().startswith("https:")  # else requests needs no authority
        check_files(verify if over_tls else None, cert, url)
    if target.execute:
        wire.headers["Connection"] = "close"
    wire.options = {"verify": verify, "cert": cert, "proxies": proxies}
    return wire


def harmless(sent: WireRequest, target: Target) -> WireRequest:
    """Return a GetCapabilities to the same node."""
    url = f"{target.url.partition('?')[0]}?service=WPS&request=GetCapabilities"
    wire = WireRequest.copy_of(sent, url)
    wire.method, wire.body, wire.tls_name, wire.options = "GET", None, sent.tls_name, sent.options
    for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
        wire.headers.pop(name, None)
    return wire


def _of_the_node(
    wire: WireRequest,
    given: OriginSettings,
    pin: Pin,
    origins: Origins,
    public: Origin | None,
    url: str,
) -> OriginSettings:
    """Return the settings for a node that is asked itself: the service's are not for its eyes.

    Only a user who chose route='direct' gave them for the nodes.
    """
    actual = origin_of(wire.url or "")
    if public and actual and actual.scheme == "https":
        wire.tls_name = public.host  # a node shows the service's certificate
    if pin.route_policy == "direct":
        secret = given.has_credentials or any(name in wire.headers for name in SECRET_HEADERS)
        if secret and public and actual and public.scheme == "https" != actual.scheme:
            raise OutOfScope(
                f"the credentials for {public} are not sent in clear to {actual}. Set "
                "tls = true on the service if its nodes speak https, or use route='proxy'",
                machineid=pin.machineid,
                url=url,
            )
        return given
    for name in SECRET_HEADERS:
        wire.headers.pop(name, None)
    settings = origins[actual]
    if callable(settings.auth):
        settings.auth(wire)
    return settings


def _drop_own_key(headers: Any, name: str, target: Target, pin: Pin, url: str) -> None:
    """Remove a machineid that the caller set: the workflow's is the one that is sent."""
    value = headers[name]
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    own = split_key(text)[0] == pin.machineid
    if target.key is not None and not own:
        raise MachineIdConflict(
            f"the request has {name}: {text!r}, and the workflow's machineid is "
            f"{pin.machineid!r}. Leave the header out, pass it to the first client, too, or "
            f"make the workflow with Workflow({text!r})",
            machineid=pin.machineid,
            url=url,
        )
    if own:
        del headers[name]
