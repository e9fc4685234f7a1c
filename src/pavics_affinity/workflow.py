"""The public API: `Workflow`, and the workflow of the current context.

It is long because its docstrings are the API reference. Each method checks that the workflow
is open and delegates to a client.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from .brief import brief
from .errors import WorkflowClosed
from .markup.shown import ShownAsCard
from .pin import Pin, Route
from .protocol import Form
from .record import NodeKnown, Record, Step
from .topology.sources import default_sources, sources_of
from .transport import (
    DEFAULT_DEADLINE,
    DEFAULT_EMBED_LIMIT,
    DEFAULT_PATIENCE,
    AffinitySession,
    Seconds,
    ambient_session,
)
from .transport.session import reset_session, use_session
from .transport.times import Timeout

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from .clients.birdy.client import WPSClient
    from .clients.gdal import GdalEnv
    from .clients.ogcapi.jobs import Job
    from .clients.ogcapi.service import Processes
    from .clients.outputs.download import Download
    from .clients.outputs.output import Output
    from .clients.wps.execution import Execution
    from .clients.wps.service import WebProcessingService
    from .display.overview import Overview
    from .journal import Journal
    from .markup.cards import Card
    from .topology import Topology, TopologySource

    TopologyLike = Topology | TopologySource | str | os.PathLike[str]

BirdyClient = TypeVar("BirdyClient")

_LOCK = threading.Lock()


class Workflow(ShownAsCard):
    """A chain of processes that stays on the machine that holds its files.

    Parameters
    ----------
    machineid : str, optional
        The workflow's identity; by default a new one. Pass the machineid of an earlier
        workflow to return to its node, from another process or on another day.
    node : str, optional
        Name of the node to use. By default the node that the machineid leads to; for a
        new machineid, the least used node.
    topology : Topology, path, or several, optional
        The nodes and services of the site. By default the file that
        ``PAVICS_AFFINITY_TOPOLOGY`` names, or the one in the user's configuration
        directory, or the topology that the proxy publishes.
    route : {"auto", "proxy", "direct"}, default "auto"
        ``"auto"`` goes through the proxy, or straight to the node if the proxy is
        unreachable and the topology has the node's address.
    strict : bool, default True
        Whether an answer from another node raises `AffinityLost`; otherwise it warns.
        Evidence that never arrives, because something on the way removes it, only warns.
    header : str, default "machineid"
        The request header that the proxy hashes, if no topology names it.
    timeout : float, timedelta or (connect, read), optional
        Seconds; by default 10 to connect, and 60 without data, or an hour for a
        synchronous Execute.
    deadline : float or timedelta, default 10 s
        How long to repeat a request that may be repeated. By default only 2 s if nothing
        has ever answered at the address and no topology names it.
    embed_limit : int, default 7,000,000
        Most bytes of an output that are sent inside a request, if the service could not
        fetch the output from its node; 0 sends none. Most services cannot read more than
        the default: lxml refuses a text of more than 10,000,000 characters, and base64
        adds a third.
    patience : float or timedelta, default 5 minutes
        How long an Execute waits if the service's queue is full, before it raises
        `ServiceBusy`; 0 does not wait. A new workflow whose site is known tries another
        node first, without waiting.
    journal : str or path, optional
        A new file. Each Execute is written to it before and after it is sent, so that
        `resume` finds the jobs again after a crash.

    Raises
    ------
    InvalidMachineId, InvalidRequest, TopologyError, UnknownNode, JournalError, JournalLocked
        An argument is invalid. Nothing was sent.

    Examples
    --------
    >>> with Workflow() as wf:  # doctest: +SKIP
    ...     malleefowl = wf.wps("http://proxy:58091/wps")
    ...     download = malleefowl.execute("download", [("resource", url)]).wait()
    """

    @brief
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
        embed_limit: int = DEFAULT_EMBED_LIMIT,
        patience: Seconds = DEFAULT_PATIENCE,
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
        session = AffinitySession(
            pin,
            timeout=timeout,
            deadline=deadline,
            embed_limit=embed_limit,
            patience=patience,
        )
        self._attach(session)
        if journal is not None:
            from .journal import Journal
            from .resuming import header_of

            self._write_to(Journal.create(journal, header_of(pin, node)))

    @classmethod
    @brief
    def resume(
        cls,
        journal: str | os.PathLike[str],
        *,
        replay: bool = False,
        topology: TopologyLike | Iterable[TopologyLike] | None = None,
        timeout: Timeout = None,
        deadline: Seconds = DEFAULT_DEADLINE,
        embed_limit: int = DEFAULT_EMBED_LIMIT,
        patience: Seconds = DEFAULT_PATIENCE,
    ) -> Self:
        """Resume the workflow of a journal, after its process has ended.

        It has the same machineid, node and `executions`; their `wait` asks the server for
        their state. Nothing is sent here. A journal has no credentials: make the services'
        clients with them again. A warning lists the Executes that may or may not have been
        sent; in `steps` they have the state ``"unknown"``.

        Parameters
        ----------
        journal : str or path
            The file of ``Workflow(journal=...)``; new entries are added to it.
        replay : bool, default False
            Whether the same program runs again. An Execute that equals one in the journal,
            inputs included, is then not sent but returns that one's result; each result is
            used once. An Execute that failed is sent again. One that may or may not have
            been sent raises `ExecuteOutcomeUnknown`.
        topology : Topology, path, or several, optional
            By default the topology that the workflow was made with.
        timeout, deadline, embed_limit, patience
            As for `Workflow`.

        Raises
        ------
        JournalError
            There is no such journal, or it is damaged.
        JournalLocked
            Its process still runs, or another process has resumed it.
        TopologyError, UnknownNode
            The site has changed; pass `topology`.
        """
        from .journal import Journal
        from .resuming import options_of, restore

        reopened, contents = Journal.reopen(journal)
        try:
            options = options_of(contents, reopened.path)
            if topology is not None:
                options["topology"] = topology
            workflow = cls(
                **options,
                timeout=timeout,
                deadline=deadline,
                embed_limit=embed_limit,
                patience=patience,
            )
        except BaseException:
            reopened.close()
            raise
        workflow._write_to(reopened)
        restore(workflow.session, contents, replay=replay)
        return workflow

    def _write_to(self, journal: Journal) -> None:
        self.record.steps.listener = journal.note
        self.session.ends.callback(journal.close)

    def _attach(self, session: AffinitySession) -> None:
        self.session = session
        self._tokens: list[Token[AffinitySession | None]] = []
        # Weak, so that a session and its workflow are freed as soon as nothing uses them.
        session.workflow = weakref.ref(self)

    @classmethod
    def _of(cls, session: AffinitySession) -> Workflow:
        """Return the workflow of a session, which holds all its state; make one if needed."""
        with _LOCK:
            known: Workflow | None = session.workflow and session.workflow()
            if known is not None:
                return known
            workflow = cls.__new__(cls)
            workflow._attach(session)
            return workflow

    # ---- identity and state ----

    @property
    def machineid(self) -> str:
        """The workflow's identity, the same on every request."""
        return self.session.machineid

    @property
    def node(self) -> str | None:
        """Name of the workflow's node; None while it is unknown."""
        return self.session.node

    @property
    def node_known(self) -> NodeKnown:
        """``"unknown"``, ``"predicted"`` from the topology, or ``"proved"`` by evidence."""
        return self.session.node_known

    @property
    def record(self) -> Record:
        """The record of all requests."""
        return self.session.record

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that were executed, in order: process, node, state, outputs."""
        return tuple(self.record.steps)

    @property
    def executions(self) -> list[Execution | Job]:
        """The executions that can be waited for, including those of an earlier process.

        Nothing is sent here; their ``wait`` asks the server.
        """
        from .clients.reattach import reattach

        found = [reattach(self.session, step) for step in self.record.steps]
        return [execution for execution in found if execution is not None]

    @property
    def closed(self) -> bool:
        """Whether the workflow has ended."""
        return self.session.closed

    # ---- clients ----

    @brief
    def wps(self, url: str, **options: Any) -> WebProcessingService:
        """Make a WPS client that sends all its requests to the workflow's node.

        Parameters
        ----------
        url : str
            The service's URL.
        **options
            Options of `WebProcessingService`: ``auth``, ``headers``, ``verify``, ``cert``,
            ``timeout``, ``language``, ``version``, ``skip_caps`` ...

        Raises
        ------
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is not a WPS.
        """
        from .clients.wps.service import WebProcessingService

        return WebProcessingService(url, session=self._open_session(), **options)

    @overload
    def birdy(self, url: str, *, cls: None = None, **options: Any) -> WPSClient: ...

    @overload
    def birdy(self, url: str, *, cls: type[BirdyClient], **options: Any) -> BirdyClient: ...

    @brief
    def birdy(self, url: str, *, cls: type[Any] | None = None, **options: Any) -> Any:
        """Make a birdy client that sends all its requests to the workflow's node.

        Parameters
        ----------
        url : str
            The service's URL.
        cls : type, optional
            A subclass of `birdy.WPSClient`, such as rooki's ``Rooki``, for the client.
            Requests that its own code sends without the client or its results are not
            pinned, except for a metalink and its files as rooki's results fetch them.
        **options
            Options of `birdy.WPSClient` or `cls`: ``processes``, ``converters``,
            ``auth``, ``progress``, ``language`` ...

        Raises
        ------
        MissingExtra
            birdy is not installed.
        InvalidRequest
            `cls` is not a subclass of `birdy.WPSClient`.
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is not a WPS.
        """
        from .clients.birdy.client import WPSClient, make_client

        session = self._open_session()
        if cls is not None:
            return make_client(session, url, cls, options)
        return WPSClient(url, session=session, **options)

    @brief
    def processes(self, url: str, **options: Any) -> Processes:
        """Make a client of an OGC API - Processes that uses the workflow's node.

        Parameters
        ----------
        url : str
            The landing page's URL.
        **options
            Options of `Processes`: ``auth``, ``headers``, ``verify``, ``cert``,
            ``timeout``.

        Raises
        ------
        ServiceUnreachable, NotAService
            Nothing answers at the URL, or it is not an OGC API.
        """
        from .clients.ogcapi.service import Processes

        return Processes(url, session=self._open_session(), **options)

    # ---- files, and requests of other libraries ----

    @brief
    def headers(self, url: str) -> dict[str, str]:
        """Return the request headers that lead other HTTP libraries to the workflow's node.

        Use it for httpx, aiohttp, or fsspec's ``storage_options={"headers": ...}``. The
        workflow keeps its node from now on. Other libraries may send the headers to
        another host on a redirect, and do not check which node answered.

        The URL's host must be in scope, because a service's document may name any
        host. In scope are the hosts of the services that the workflow uses, the hosts of
        its topology, and those given to `add_scope`. If a workflow has no host yet, it
        adds the URL's host.

        Parameters
        ----------
        url : str
            The URL to fetch, or the service's: the headers are valid for everything below
            that service's URL or outputs.

        Raises
        ------
        OutOfScope
            It is not an http or https URL, or its host is not in scope.
        InvalidRequest
            The workflow sends requests to the node itself, not to this URL.
        BackendUnavailable, SteeringImpossible, TopologyError
            No routing key leads to the node.
        """
        from .clients.links import headers_for

        return headers_for(self._open_session(), url)

    @brief
    def link(self, url: str, *, form: Form = "path") -> str:
        """Return a URL that leads to the workflow's node by itself.

        Use it for wget, a browser, OPeNDAP readers, or a service that fetches it. Behind
        a strict proxy it is ``/.affinity/KEY/...`` at the same origin; otherwise it is the
        node's own URL. **The link contains the routing key, and so does every log, history
        and document that contains the link**: others can use it to send requests to the
        node under this machineid. The workflow keeps its node from now on. The URL's host
        must be in scope, as for `headers`.

        Parameters
        ----------
        url : str
            An output, a status document, or the service's URL.
        form : {"path", "query"}, default "path"
            Where the key is, for a strict proxy. Many readers replace the query but keep
            the path.

        Raises
        ------
        OutOfScope
            It is not an http or https URL, or its host is not in scope.
        SteeringImpossible
            The proxy is plain, so only a header leads to the node.
        BackendUnavailable, TopologyError
            The node does not offer the service.
        """
        from .clients.links import link_for

        return link_for(self._open_session(), url, form)

    @brief
    def gdal_env(self, url: str) -> GdalEnv:
        """Return GDAL's options that lead its requests to the workflow's node.

        Use it for rasterio, fiona and geopandas. As a context manager it sets the options
        in the imported ones of these libraries, until the block ends. As a mapping it can
        be passed to ``rasterio.Env(**env)`` or to a program as its environment. The
        options are the header of `headers`, and the login, cookies and certificates of the
        service's client, except a digest login. The workflow keeps its node from now on.

        **GDAL sends the header and the login to each host that it opens inside the
        block, and follows redirects with the header.** So open only URLs of the workflow
        there. Outside the main thread, rasterio and fiona keep the options to their
        thread. geopandas' pyogrio does not, so with it two threads cannot be in blocks of
        two workflows at the same time.

        Parameters
        ----------
        url : str
            The URL to open, or the service's. With geopandas, open
            ``f"/vsicurl/{url}"``, because it otherwise requests the URL itself first. GDAL
            3.6 or newer is needed.

        Raises
        ------
        OutOfScope, BackendUnavailable, SteeringImpossible, TopologyError
            As `headers`.
        InvalidRequest
            The workflow sends requests to the node itself: open ``wf.link(url)``. When the
            block is entered: none of the libraries is imported, or another thread is in
            the block of another workflow.

        Examples
        --------
        >>> with wf.gdal_env(url), rasterio.open(url) as raster:  # doctest: +SKIP
        ...     values = raster.read(1)
        """
        from .clients.gdal import gdal_env_for

        return gdal_env_for(self._open_session(), url)

    @brief
    def open_dataset(self, url: str | Output, **options: Any) -> xarray.Dataset:
        """Open a file or an OPeNDAP resource with xarray, from the workflow's node.

        Parameters
        ----------
        url : str or Output
            The file or resource. A file is downloaded to a temporary file, which is
            removed when the dataset is closed, or when Python ends.
        **options
            Options of `xarray.open_dataset`.

        Raises
        ------
        MissingExtra
            xarray is not installed, or pydap for an OPeNDAP resource.
        InvalidRequest, OutOfScope
            It is not a URL; nothing was fetched.
        OutputUnavailable, DownloadFailed
            It cannot be fetched.
        """
        from .clients.outputs.output import output_at

        return output_at(self._open_session(), url).open_dataset(**options)

    @brief
    def download(
        self,
        urls: Iterable[str | Output],
        directory: str | os.PathLike[str],
        *,
        parallel: int = 4,
        progress: bool | None = None,
    ) -> list[Download]:
        """Download several files at the same time, each whole or not at all.

        Parameters
        ----------
        urls : iterable of str or Output
            The files to fetch.
        directory : path
            Created if it does not exist. Files get the cleaned names of their URLs; if two
            names are equal, the second gets a number.
        parallel : int, default 4
            Number of downloads at a time.
        progress : bool, optional
            Show a progress bar of the files; by default in a notebook only.

        Returns
        -------
        list of Download
            The files, in the order of `urls`; each can be used as a path.

        Raises
        ------
        InvalidRequest, OutOfScope
            One is not a URL; nothing was fetched.
        OutputUnavailable, DownloadFailed
            One could not be fetched. Complete files stay.
        """
        from .clients.outputs.output import download_all

        session = self._open_session()
        return download_all(session, urls, directory, parallel=parallel, progress=progress)

    def add_scope(self, *hosts: str) -> None:
        """Allow the machineid to be sent to further hosts.

        Parameters
        ----------
        *hosts : str
            Host names, or URLs, whose host is used; all its ports are in scope. The origin
            of a URL counts as a service's: a file there is not passed to a service under
            its plain URL.
        """
        for host in hosts:
            self.session.pin.add_scope(host)

    # ---- display ----

    @brief
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the executed steps, by node and time.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a new figure.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        from .display import plot_steps

        return plot_steps(self.steps, ax=ax, title=f"Workflow {self.machineid}")

    def report(self) -> str:
        """Return a report for an operator or an issue, as plain text.

        It contains versions, the options of the workflow, its topology, its steps, the last
        requests, warnings and the last error. User, password and query are removed from
        every URL; the machineid is kept.

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

    def _card(self) -> Card:
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

    # ---- closing and pickling ----

    def __enter__(self) -> Self:
        self._tokens.append(use_session(self._open_session()))
        return self

    def __exit__(self, *_: object) -> None:
        reset_session(self._tokens.pop())
        if not self._tokens:
            self.close()

    def close(self) -> None:
        """End the workflow and close its connections. Safe to call twice."""
        self.session.close()

    def _open_session(self) -> AffinitySession:
        if self.closed:
            raise WorkflowClosed(
                f"workflow {self.machineid!r} is closed; make a new one, or use "
                f"Workflow({self.machineid!r}) if you still need its files",
                about=self,
            )
        return self.session

    def __reduce__(self) -> tuple[Any, ...]:
        return Workflow._of, (self.session,)

    def __repr__(self) -> str:
        on = f" on node {self.node!r} ({self.node_known})" if self.node else ", node not known"
        closed = ", closed" if self.closed else ""
        return f"<Workflow {self.machineid!r}{on}{closed}>"


def current_workflow() -> Workflow:
    """Return the current workflow.

    Returns
    -------
    Workflow
        The workflow of the innermost ``with`` block of this thread or asyncio task. Outside
        of any block, and in a new thread, it is the workflow of this Python process, whose
        machineid is taken from ``PAVICS_AFFINITY_MACHINEID`` or minted once.
    """
    return Workflow._of(ambient_session())


# ---- for batches ----


def stop_sending(workflow: Workflow) -> None:
    """Make the next request raise; the answer to the last one is still read and recorded."""
    workflow.session.refuse()


def known_sources(workflow: Workflow) -> tuple[TopologySource, ...]:
    """Return the topologies that a workflow knows."""
    return tuple(workflow.session.pin.sources)
