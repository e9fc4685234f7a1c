"""Workflow: what users hold. One machineid, one node, every request of a chain."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from .errors import WorkflowClosed
from .machineid import mint_machineid
from .pin import Pin, Route
from .record import NodeKnown, Record
from .topology import Topology
from .topology.source import default_sources, sources_of
from .transport import DEFAULT_DEADLINE, AffinitySession, Seconds, ambient_session
from .transport.ambient import reset_session, use_session
from .transport.times import Timeout

if TYPE_CHECKING:
    from .clients.wps import WebProcessingService

TopologyLike = Topology | str | os.PathLike[str]

_LOCK = threading.Lock()
_WORKFLOWS: WeakValueDictionary[int, Workflow]


class Workflow:
    """A chain of processes that stays on the machine that holds its files.

    Parameters
    ----------
    machineid : str, optional
        The workflow's identity; by default a fresh one. Give one to come back to
        the same node, from another process or on another day.
    node : str, optional
        Name of the node to use. By default the one that the machineid leads to,
        or for a fresh one the least used.
    topology : Topology, path, or several, optional
        What is known of the site. By default ``PAVICS_AFFINITY_TOPOLOGY``, else
        the user's configuration directory, else what the proxy publishes.
    route : {"auto", "proxy", "direct"}, default "auto"
        ``"auto"`` goes through the proxy, and to the node itself where the proxy
        is unreachable and the topology names the node's address.
    strict : bool, default True
        Whether a wrong turn raises `AffinityLost`; else it warns.
    header : str, default "machineid"
        The request header that the proxy hashes, where no topology names it.
    timeout : float, timedelta or (connect, read), optional
        Seconds; by default 10 to connect and 60 of silence, an hour of silence
        after a synchronous Execute.
    deadline : float or timedelta, default 10 s
        For how long a request that may be repeated is repeated.

    Raises
    ------
    InvalidMachineId, TopologyError, UnknownNode
        Before any request is made.

    Examples
    --------
    >>> with Workflow() as wf:  # doctest: +SKIP
    ...     malleefowl = wf.wps("http://proxy:58091/wps")
    ...     download = malleefowl.execute("download", [("resource", url)]).wait()
    """

    def __init__(
        self,
        machineid: str | None = None,
        *,
        node: str | None = None,
        topology: TopologyLike | Iterable[TopologyLike] | None = None,
        route: Route = "auto",
        strict: bool = True,
        header: str = "machineid",
        timeout: Timeout = None,
        deadline: Seconds = DEFAULT_DEADLINE,
    ) -> None:
        pin = Pin(
            mint_machineid() if machineid is None else machineid,
            given=machineid is not None,
            node=node,
            sources=default_sources() if topology is None else sources_of(topology),
            route=route,
            strict=strict,
            header=header,
        )
        self._hold(AffinitySession(pin, timeout=timeout, deadline=deadline))

    def _hold(self, session: AffinitySession) -> None:
        self.session = session
        self._tokens: list[Token[AffinitySession | None]] = []
        _WORKFLOWS[id(session)] = self

    @classmethod
    def _of(cls, session: AffinitySession) -> Workflow:
        with _LOCK:
            found = _WORKFLOWS.get(id(session))
            if found is not None and found.session is session:
                return found
            workflow = cls.__new__(cls)
            workflow._hold(session)
            # The process's own workflow lives as long as its session.
            session.workflow = workflow  # type: ignore[attr-defined]  # kept alive, never read
            return workflow

    # ---- what it is ----

    @property
    def machineid(self) -> str:
        """The workflow's identity, the same from its first request to its last."""
        return self.session.machineid

    @property
    def node(self) -> str | None:
        """Name of the workflow's node; None while it is not known."""
        return self.session.node

    @property
    def node_known(self) -> NodeKnown:
        """``"unknown"``, ``"predicted"`` from the topology, or ``"proved"`` by evidence."""
        return self.session.node_known

    @property
    def record(self) -> Record:
        """What each request did."""
        return self.session.record

    @property
    def closed(self) -> bool:
        """Whether the workflow has ended."""
        return self.session.closed

    # ---- clients ----

    def wps(self, url: str, **options: Any) -> WebProcessingService:
        """Make a WPS client whose every request keeps to the workflow's node.

        Parameters
        ----------
        url : str
            The service's URL.
        **options
            As `WebProcessingService` takes them: ``auth``, ``headers``, ``verify``,
            ``cert``, ``timeout``, ``language``, ``version``, ``skip_caps`` ...

        Raises
        ------
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is no WPS.
        """
        from .clients.wps import WebProcessingService

        self._check_open()
        return WebProcessingService(url, session=self.session, **options)

    def add_scope(self, *hosts: str) -> None:
        """Let further hosts be told the machineid.

        Parameters
        ----------
        *hosts : str
            Host names, or URLs of which the host counts; every port is meant.
        """
        for host in hosts:
            self.session.pin.add_scope(host)

    # ---- its life ----

    def __enter__(self) -> Self:
        self._check_open()
        self._tokens.append(use_session(self.session))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reset_session(self._tokens.pop())
        if not self._tokens:
            self.close()

    def close(self) -> None:
        """End the workflow: its connections are closed. May be repeated."""
        self.session.close()

    def _check_open(self) -> None:
        if self.closed:
            raise WorkflowClosed(
                f"workflow {self.machineid!r} is closed; make a new one, with "
                f"Workflow({self.machineid!r}) if its files are still needed",
                machineid=self.machineid,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.session,)

    def __repr__(self) -> str:
        known = f"{self.node!r} ({self.node_known})" if self.node else "unknown"
        closed = ", closed" if self.closed else ""
        return f"<Workflow {self.machineid!r} on node {known}{closed}>"


_WORKFLOWS = WeakValueDictionary()


def _unpickle(session: AffinitySession) -> Workflow:
    return Workflow._of(session)


def current_workflow() -> Workflow:
    """Return the workflow in force.

    Returns
    -------
    Workflow
        That of the innermost ``with`` block of this thread or asyncio task; else
        the one of this Python process, minted once, or taken from
        ``PAVICS_AFFINITY_MACHINEID``. A new thread begins outside of any block.
    """
    return Workflow._of(ambient_session())
