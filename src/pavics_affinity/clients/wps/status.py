"""The status document of an execution, read until it comes whole.

PyWPS rewrites it in place, so it is now and then empty or cut; that is "not
yet". A document that is missing is given a moment, too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import StatusLost
from ...record import operation
from ...transport.times import CONNECT_TIMEOUT, READ_TIMEOUT, as_timeout, asked_to_wait
from ..http import polling, xml
from ..http.addresses import named_by
from ..http.answers import Answer, BodyBroken, expect, read

if TYPE_CHECKING:
    from ...transport import AffinitySession

#: Seconds for which a status document may be missing.
GONE_FOR = 3.0
#: Seconds for which nothing but half-written documents may come.
UNREADABLE_FOR = 10.0
#: Seconds between two questions about one execution, whatever the caller's loop does.
LEAST_PAUSE = 0.05
#: Seconds that a question is given at least, however little is left of a wait.
LEAST_TIMEOUT = 1.0


@dataclass(frozen=True)
class Trouble:
    """Why there is no status document just now.

    Attributes
    ----------
    what : str
        What came instead.
    gone : bool
        It is missing, rather than unreadable.
    """

    what: str
    gone: bool


class StatusDocument:
    """Asks for the status document of one execution.

    Parameters
    ----------
    session : AffinitySession
        Asks.
    url : str
        Absolute, http or https.
    process : str
        Of what, for messages: ``"process 'download'"``.
    timeout : float or tuple, optional
        The client's own, in seconds.
    service : str
        URL of the service whose document named this one.
    """

    #: Sent along with each question.
    headers: ClassVar[Mapping[str, str] | None] = None

    def __init__(
        self,
        session: AffinitySession,
        url: str,
        *,
        process: str,
        timeout: Any = None,
        service: str = "",
    ) -> None:
        self.session = session
        self.url = url
        self.process = process
        self.timeout = timeout
        self.service = service

    def fetch(self, left: float | None = None) -> Any:
        """Ask until a whole document comes, and return its root.

        Parameters
        ----------
        left : float, optional
            Seconds after which None is returned instead.

        Raises
        ------
        StatusLost
            It has been missing for `GONE_FOR`, or unreadable for `UNREADABLE_FOR`.
        ServiceError
            The server wants other credentials.
        """
        with named_by(self.service, self.session, self.url):
            return self._fetch(left)

    def _fetch(self, left: float | None) -> Any:
        begun = time.monotonic()
        missing_since: float | None = None
        attempts = 0
        while True:
            attempts += 1
            found = self._ask(left)
            if not isinstance(found, Trouble):
                return found
            now = time.monotonic()
            if not found.gone:
                missing_since = None
            elif missing_since is None:
                missing_since = now
            gone = missing_since is not None and now - missing_since >= GONE_FOR
            if gone or now - begun >= UNREADABLE_FOR:
                raise self._lost(found, attempts, now - begun)
            if left is not None and now - begun >= left:
                return None
            time.sleep(polling.pause(now - begun))

    def _ask(self, left: float | None) -> Any:
        if left is None:
            with operation("status"):
                response = self.session.get(
                    self.url, stream=True, timeout=self.timeout, headers=self.headers
                )
            until = None
        else:
            bound = max(left, LEAST_TIMEOUT)
            own = self.session.affinity.timeout if self.timeout is None else self.timeout
            until = time.monotonic() + bound
            with operation("status"), self.session.deadline(bound):
                response = self.session.get(
                    self.url,
                    stream=True,
                    timeout=_bounded(own, bound),
                    headers=self.headers,
                )
        try:
            answer = read(response, url=self.url, until=until)
        except BodyBroken as error:
            return Trouble(f"a document cut short ({error})", gone=False)
        return self.judged(answer)

    def judged(self, answer: Answer) -> Any:
        """Return the root of the document, or the `Trouble` that there is with it."""
        if answer.status in (401, 403):
            expect(answer, "ExecuteResponse", doing="the status", service="WPS", asker=self.session)
        came = f"HTTP {answer.status} and {answer.what_came}"
        if answer.status >= 400:
            came += asked_to_wait(answer.response.headers)
            return Trouble(came, gone=answer.status < 500 and answer.status not in (408, 429))
        root = answer.root
        if root is None:
            return Trouble(came, gone=False)
        name = xml.local_name(root)
        if name == "ExceptionReport":
            return root
        if name == "ExecuteResponse" and root.find("{*}Status/{*}*") is not None:
            return root
        return Trouble(came, gone=False)

    def _lost(self, trouble: Trouble, attempts: int, waited: float) -> StatusLost:
        node = f" ({self.session.node!r})" if self.session.node else ""
        state = "is gone" if trouble.gone else "cannot be read"
        return StatusLost(
            f"the status document of {self.process} {state}: {self.url} gave {trouble.what}, "
            f"{attempts} times in {waited:.1f} s. It is on the node that runs the process{node} "
            "and nowhere else: that node may be down, or another one may have answered. "
            "Run the chain anew if it does not come back",
            url=self.url,
            machineid=self.session.machineid,
            node=self.session.node,
            attempts=attempts,
        )


def _bounded(timeout: Any, bound: float) -> tuple[float, float]:
    """Return a time-out, the given or the usual one, of at most so many seconds."""
    given = as_timeout(timeout)
    connect, read_ = given if isinstance(given, tuple) else (given, given)
    return min(bound, connect or CONNECT_TIMEOUT), min(bound, read_ or READ_TIMEOUT)
