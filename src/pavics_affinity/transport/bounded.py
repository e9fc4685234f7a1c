"""One GET as a stranger sends it: no machineid, no credentials, bounded in time and size."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import requests

from .connections import Sockets, WireAdapter
from .credentials import nothing_added

_PIECE = 16_384


class Bounded(NamedTuple):
    """What came back; redirects are not followed."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes  # at most as much as was asked for
    whole: bool  # whether that is all of it


def get_bounded(
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: float,
    largest: int,
    verify: bool | str | None = None,
    cert: str | tuple[str, str] | None = None,
) -> Bounded:
    """Ask for a URL on its own connection, once.

    Only `headers` go with it: no credentials (not from ``.netrc`` either) and no cookies. The
    time-out is for everything together, because a server may send a byte a second for ever; of the
    body at most `largest` bytes are read.

    Raises
    ------
    requests.RequestException
        No answer, or no whole one within the time.
    """
    outcome: list[Bounded | Exception] = []
    sockets = Sockets()

    def run() -> None:
        try:
            with sockets.collecting():
                outcome.append(_get(url, headers, timeout, largest, verify, cert))
        except Exception as raised:  # noqa: BLE001  # it is raised again, or came too late
            outcome.append(raised)

    thread = threading.Thread(target=run, name="pavics-affinity-bounded", daemon=True)
    thread.start()
    thread.join(timeout)
    result = outcome[0] if outcome else requests.Timeout(f"no whole answer within {timeout:g} s")
    sockets.end()  # afterwards: to the thread it is the end of the answer
    if isinstance(result, requests.RequestException):
        raise result
    if isinstance(result, Exception):
        raise requests.ConnectionError(result) from result
    return result


def _get(
    url: str,
    headers: Mapping[str, str],
    timeout: float,
    largest: int,
    verify: bool | str | None,
    cert: str | tuple[str, str] | None,
) -> Bounded:
    with _Stranger() as session:
        # Anything callable keeps requests from looking into .netrc.
        session.auth = nothing_added
        session.headers["Accept-Encoding"] = "identity"
        response = session.get(
            url,
            headers={**headers},
            timeout=(timeout, None),  # its sockets are ended when the time is over
            verify=True if verify is None else verify,
            cert=cert,
            allow_redirects=False,
            stream=True,
        )
        with response:
            body = bytearray()
            while len(body) <= largest and (piece := response.raw.read(_PIECE)):
                body += piece
            whole = len(body) <= largest
            return Bounded(response.status_code, response.headers, bytes(body[:largest]), whole)


class _Stranger(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, WireAdapter())

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Look at no redirect: requests would read its body for that, however long."""
        return iter(())
