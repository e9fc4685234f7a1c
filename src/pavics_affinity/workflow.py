"""Workflow: what users hold. One machineid, one node, every request of a chain."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from .clients.links import headers_for, link_for
from .errors import JournalError, WorkflowClosed
from .journal import Journal
from .markup.terminal import in_terminal
from .pin import Pin, Route
from .pin.links import Form
from .record import NodeKnown, Record, Step
from .topology import Topology, TopologySource
from .topology.source import FileSource, FixedSource, default_sources, sources_of
from .transport import DEFAULT_DEADLINE, AffinitySession, Seconds, ambient_session
from .transport.ambient import reset_session, use_session
from .transport.times import Timeout
from .warn import warn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType

    from .clients.birdy.client import WPSClient
    from .clients.ogcapi.jobs import Job
    from .clients.ogcapi.service import Processes
    from .clients.outputs.download import Download
    from .clients.outputs.output import Output
    from .clients.wps.execution import Execution
    from .clients.wps.service import WebProcessingService
    from .display.overview import Overview

TopologyLike = Topology | TopologySource | str | os.PathLike[str]

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
    journal : str or path, optional
        A new file, in which each Execute is noted before and after it is sent, so
        that `resume` finds the jobs again after a crash.

    Raises
    ------
    InvalidMachineId, InvalidRequest, TopologyError, UnknownNode, JournalError, JournalLocked
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
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        pin = Pin(
            machineid,
            node=node,
            sources=default_sources() if topology is None else sources_of(topology),
            route=route,
            strict=strict,
            header=header,
        )
        self._hold(AffinitySession(pin, timeout=timeout, deadline=deadline))
        if journal is not None:
            self._keep(Journal.create(journal, {**_begin_of(pin), "node": node}))

    @classmethod
    def resume(
        cls,
        journal: str | os.PathLike[str],
        *,
        replay: bool = False,
        topology: TopologyLike | Iterable[TopologyLike] | None = None,
        timeout: Timeout = None,
        deadline: Seconds = DEFAULT_DEADLINE,
    ) -> Self:
        """Take up the workflow of a journal, after its process has ended.

        It has the same machineid, node and `executions`; wait for those, and they are
        asked how far they are. Nothing is sent here. Credentials are not in a journal:
        make the services' clients with them again. What may have been sent or not is
        warned of, and is in `steps` with state ``"unknown"``.

        Parameters
        ----------
        journal : str or path
            The file that ``Workflow(journal=...)`` was given; it is continued.
        replay : bool, default False
            Run the same program again: an Execute that is the same as one in the
            journal, inputs and all, is not sent, but gives what that one came to, each
            once. One that failed is sent anew; one that may have been sent or not
            raises `ExecuteOutcomeUnknown`.
        topology : Topology, path, or several, optional
            By default what the workflow was made with.
        timeout, deadline
            As for `Workflow`.

        Raises
        ------
        JournalError
            There is no such journal, or it is damaged.
        JournalLocked
            Its process runs still, or another one has taken it up.
        TopologyError, UnknownNode
            The site is not as it was; give `topology`.
        """
        kept, contents = Journal.go_on(journal)
        try:
            begin = contents.begin
            try:
                sources = _sources_of(begin) if topology is None else topology
                workflow = cls(
                    contents.machineid,
                    node=contents.node,
                    topology=sources or None,
                    route=begin["route"],
                    strict=begin["strict"],
                    header=begin["header"],
                    timeout=timeout,
                    deadline=deadline,
                )
            except (KeyError, TypeError) as error:
                raise JournalError(f"{kept.path} does not begin as a journal: {error!r}") from error
        except BaseException:
            kept.close()
            raise
        workflow._keep(kept)
        workflow.record.steps.restore(contents.steps, replay=replay)
        for step in contents.steps:
            if step.ran and step.node is not None:
                workflow.session.pin.restore(step.service, step.node)
        unknown = [step for step in contents.steps if step.state == "unknown"]
        if unknown and not replay:
            listed = ", ".join(f"{step.process!r} at {_clock(step.started)}" for step in unknown)
            warn(
                f"of what workflow {workflow.machineid!r} has sent, it is not known whether it was "
                f"executed: {listed} on node {workflow.node!r}. It will not be sent again by "
                "itself; look at the service's jobs"
            )
        return workflow

    def _keep(self, journal: Journal) -> None:
        self.record.steps.listener = journal.note
        self.session.ends.callback(journal.close)

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
    def steps(self) -> tuple[Step, ...]:
        """What was executed, in order: process, node, state, outputs."""
        return tuple(self.record.steps)

    @property
    def executions(self) -> list[Execution | Job]:
        """What was executed and can be waited for, also by an earlier process.

        Nothing is asked here; ``wait`` asks.
        """
        from .clients.reattach import take_up

        found = [take_up(self.session, step) for step in self.record.steps]
        return [execution for execution in found if execution is not None]

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
        from .clients.wps.service import WebProcessingService

        self._check_open()
        return WebProcessingService(url, session=self.session, **options)

    def birdy(self, url: str, **options: Any) -> WPSClient:
        """Make a birdy client whose every request keeps to the workflow's node.

        Parameters
        ----------
        url : str
            The service's URL.
        **options
            As `birdy.WPSClient` takes them: ``processes``, ``converters``, ``auth``,
            ``progress``, ``language`` ...

        Raises
        ------
        MissingExtra
            birdy is not installed.
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is no WPS.
        """
        from .clients.birdy.client import WPSClient

        self._check_open()
        return WPSClient(url, session=self.session, **options)

    def processes(self, url: str, **options: Any) -> Processes:
        """Make a client of an OGC API - Processes that keeps to the workflow's node.

        Parameters
        ----------
        url : str
            The landing page's URL.
        **options
            As `Processes` takes them: ``auth``, ``headers``, ``verify``, ``cert``,
            ``timeout``.

        Raises
        ------
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is no OGC API.
        """
        from .clients.ogcapi.service import Processes

        self._check_open()
        return Processes(url, session=self.session, **options)

    # ---- bytes ----

    def headers(self, url: str) -> dict[str, str]:
        """Return the request headers that lead other HTTP libraries to the workflow's node.

        For httpx, aiohttp, or fsspec's ``storage_options={"headers": ...}``. The
        workflow's node stays from now on. Such libraries may send the headers along
        on a redirect to another host, and nothing checks there who answered.

        The URL's host must be in scope, because a service's document may name any
        host: that of a service that the workflow uses, of its topology, or one given
        to `add_scope`. Only a workflow that has no host yet takes that of the URL.

        Parameters
        ----------
        url : str
            What is to be fetched, or the service's URL: they hold for what is below
            that service's URL or outputs.

        Raises
        ------
        OutOfScope
            It is not an http or https URL, or its host is not in scope.
        InvalidRequest
            The workflow asks the node itself, so that this URL is not the one to fetch.
        BackendUnavailable, SteeringImpossible, TopologyError
            No routing key leads to the node.
        """
        self._check_open()
        return headers_for(self.session, url)

    def link(self, url: str, *, form: Form = "path") -> str:
        """Return a URL that leads to the workflow's node by itself.

        For wget, a browser, OPeNDAP readers, or a service that is to fetch it. Of a
        strict proxy it is ``/.affinity/KEY/...`` at the same origin; else the node's
        own URL. **The routing key stands in it, and so in every log, history and
        document that the link gets into**: whoever has it can send requests to the
        node under this machineid. The workflow's node stays from now on. The URL's host
        must be in scope, as for `headers`.

        Parameters
        ----------
        url : str
            An output, a status document, or the service's URL.
        form : {"path", "query"}, default "path"
            Where a strict proxy finds the key. Many readers replace the query, and
            keep the path.

        Raises
        ------
        OutOfScope
            It is not an http or https URL, or its host is not in scope.
        SteeringImpossible
            Behind a plain proxy nothing but a header leads to the node.
        BackendUnavailable, TopologyError
            The node does not offer the service.
        """
        self._check_open()
        return link_for(self.session, url, form)

    def download(
        self,
        urls: Iterable[str | Output],
        directory: str | os.PathLike[str],
        *,
        parallel: int = 4,
        progress: bool | None = None,
    ) -> list[Download]:
        """Download several files at once, each whole or not at all.

        Parameters
        ----------
        urls : iterable of str or Output
            What is fetched.
        directory : path
            Made if it is not there. Files get the names that their URLs give,
            cleaned; of two equal ones the second gets a number.
        parallel : int, default 4
            How many at a time.
        progress : bool, optional
            Show a progress bar of the files; by default in a notebook only.

        Returns
        -------
        list of Download
            In the order of `urls`; each stands for its path.

        Raises
        ------
        InvalidRequest, OutOfScope
            Something is no URL; nothing was fetched.
        OutputUnavailable, DownloadFailed
            One could not be fetched. Those that are complete stay.
        """
        from .clients.outputs.downloads import download_all

        self._check_open()
        return download_all(self.session, urls, directory, parallel=parallel, progress=progress)

    def add_scope(self, *hosts: str) -> None:
        """Let further hosts be told the machineid.

        Parameters
        ----------
        *hosts : str
            Host names, or URLs of which the host counts; every port is meant. A
            URL's own origin is taken for a service's: no file there is handed
            on to a service as it is.
        """
        for host in hosts:
            self.session.pin.add_scope(host)

    # ---- for people ----

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw what was executed, by node and time.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a figure of its own.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        from .display import plot_steps

        return plot_steps(self.steps, ax=ax, title=f"Workflow {self.machineid}")

    def report(self) -> str:
        """Return what somebody who helps needs to know, as plain text.

        Versions, the options of the workflow, its topology, steps, the last requests,
        warnings and the last error. User, password and query are taken out of every
        URL; the machineid is in it.

        Examples
        --------
        >>> print(wf.report())  # doctest: +SKIP
        """
        from .display.report import Report

        pin = self.session.pin
        options = [
            ("route", pin.route_policy),
            ("strict", str(pin.strict)),
            ("header", pin.header),
            ("deadline", f"{self.session.affinity.deadline:g} s"),
        ]
        topologies = [source.current.dumps() for source in pin.sources]
        return Report(self._overview(), options, topologies).as_text()

    def _repr_html_(self) -> str:
        return self._overview().as_card()

    def _overview(self) -> Overview:
        from .display.overview import Overview

        pin = self.session.pin
        return Overview(
            machineid=self.machineid,
            node=self.node,
            node_known=self.node_known,
            closed=self.closed,
            record=self.record,
            warned=pin.warned,
            link_to=pin.shown_link,
        )

    def __rich__(self) -> RenderableType:
        return in_terminal(self._repr_html_())

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


def _begin_of(pin: Pin) -> dict[str, Any]:
    """Return what a journal needs to make an equal workflow."""
    known = []
    for source in pin.sources:
        if isinstance(source, FileSource):
            known.append({"file": os.fspath(source.path.absolute())})
        elif isinstance(source, FixedSource):
            known.append({"toml": source.current.dumps()})
    return {
        "machineid": pin.machineid,
        "route": pin.route_policy,
        "strict": pin.strict,
        "header": pin.header,
        "topology": known,
    }


def _sources_of(begin: Mapping[str, Any]) -> list[TopologyLike]:
    return [
        known["file"] if "file" in known else Topology.loads(known["toml"], file="the journal")
        for known in begin["topology"]
    ]


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


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
