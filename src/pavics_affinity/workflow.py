"""The public API: `Workflow`, and the workflow of the current context.

It is above 350 lines because of its docstrings, which are the API reference: each method
checks that the workflow is open and delegates to a client.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from contextvars import Token
from types import TracebackType
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
from .transport.ambient import reset_session, use_session
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
        The workflow's identity; by default a new one. Give one to come back to the
        same node, from another process or on another day.
    node : str, optional
        Name of the node to use. By default the one that the machineid leads to,
        or for a new one the least used.
    topology : Topology, path, or several, optional
        What is known of the site. By default ``PAVICS_AFFINITY_TOPOLOGY``, else
        the user's configuration directory, else what the proxy publishes.
    route : {"auto", "proxy", "direct"}, default "auto"
        ``"auto"`` goes through the proxy, and to the node itself if the proxy is
        unreachable and the topology names the node's address.
    strict : bool, default True
        Whether an answer of another node raises `AffinityLost`; else it warns. Evidence
        that never arrives, because something on the way removes it, only warns.
    header : str, default "machineid"
        The request header that the proxy hashes, if no topology names it.
    timeout : float, timedelta or (connect, read), optional
        Seconds; by default 10 to connect and 60 of silence, an hour of silence
        after a synchronous Execute.
    deadline : float or timedelta, default 10 s
        For how long a request that may be repeated is repeated; 2 s if nothing has ever
        answered at the address, no topology names it, and you did not ask for more.
    embed_limit : int, default 7,000,000
        Bytes of an output that may be sent in a request whose service could not
        fetch it from its node; 0 sends none. Above the default most services cannot
        read it: lxml refuses a text of more than 10,000,000 characters, and base64
        adds a third.
    patience : float or timedelta, default 5 minutes
        For how long an Execute waits for a place if the service's queue is full. A new
        workflow whose site is known takes another node first, without waiting. After
        that it is `ServiceBusy`; with 0 at once.
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

        It has the same machineid, node and `executions`; wait for those to ask how far
        they are. Nothing is sent here. Credentials are not in a journal: make the
        services' clients with them again. A warning lists the Executes that may have
        been sent or not; in `steps` they have the state ``"unknown"``.

        Parameters
        ----------
        journal : str or path
            The file that ``Workflow(journal=...)`` was given; it is continued.
        replay : bool, default False
            Run the same program again: an Execute that is the same as one in the
            journal, including its inputs, is not sent, but returns the result of that
            one, each once. One that failed is sent again; one that may have been sent
            or not raises `ExecuteOutcomeUnknown`.
        topology : Topology, path, or several, optional
            By default what the workflow was made with.
        timeout, deadline, embed_limit, patience
            As for `Workflow`.

        Raises
        ------
        JournalError
            There is no such journal, or it is damaged.
        JournalLocked
            Its process still runs, or another one has resumed it.
        TopologyError, UnknownNode
            The site has changed; give `topology`.
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
        # Weak: a session and its workflow are freed as soon as nothing uses them.
        session.workflow = weakref.ref(self)

    @classmethod
    def _of(cls, session: AffinitySession) -> Workflow:
        """Return the workflow on a session, which holds all its state; make one if need be."""
        with _LOCK:
            known: Workflow | None = session.workflow and session.workflow()
            if known is not None:
                return known
            workflow = cls.__new__(cls)
            workflow._attach(session)
            return workflow

    # ---- what it is ----

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
        """What each request did."""
        return self.session.record

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was executed, in order: process, node, state, outputs."""
        return tuple(self.record.steps)

    @property
    def executions(self) -> list[Execution | Job]:
        """What was executed, also by an earlier process, and can be waited for.

        Nothing is sent here; ``wait`` asks the server.
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
        """Make a WPS client, all of whose requests go to the workflow's node.

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
            Nothing answers at the URL, or it is not a WPS.
        """
        from .clients.wps.service import WebProcessingService

        self._check_open()
        return WebProcessingService(url, session=self.session, **options)

    @overload
    def birdy(self, url: str, *, cls: None = None, **options: Any) -> WPSClient: ...

    @overload
    def birdy(self, url: str, *, cls: type[BirdyClient], **options: Any) -> BirdyClient: ...

    @brief
    def birdy(self, url: str, *, cls: type[Any] | None = None, **options: Any) -> Any:
        """Make a birdy client, all of whose requests go to the workflow's node.

        Parameters
        ----------
        url : str
            The service's URL.
        cls : type, optional
            A subclass of `birdy.WPSClient`, such as rooki's ``Rooki``. The client is an
            instance of it. What its own code fetches by other means than its client and
            results is not pinned, except a metalink and its files as rooki's results
            fetch them.
        **options
            As `birdy.WPSClient`, or `cls`, takes them: ``processes``, ``converters``,
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

        self._check_open()
        if cls is not None:
            return make_client(self.session, url, cls, options)
        return WPSClient(url, session=self.session, **options)

    @brief
    def processes(self, url: str, **options: Any) -> Processes:
        """Make a client of an OGC API - Processes for the workflow's node.

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
            Nothing answers at the URL, or it is not an OGC API.
        """
        from .clients.ogcapi.service import Processes

        self._check_open()
        return Processes(url, session=self.session, **options)

    # ---- bytes ----

    @brief
    def headers(self, url: str) -> dict[str, str]:
        """Return the request headers that lead other HTTP libraries to the workflow's node.

        For httpx, aiohttp, or fsspec's ``storage_options={"headers": ...}``. The
        workflow keeps its node from now on. Such libraries may send the headers along
        on a redirect to another host, and do not check which node answered.

        The URL's host must be in scope, because a service's document may name any
        host. In scope are the hosts of the services that the workflow uses, of its
        topology, and those given to `add_scope`. A workflow without any host adopts
        the URL's.

        Parameters
        ----------
        url : str
            The URL to fetch, or the service's: the headers hold for everything below
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

        self._check_open()
        return headers_for(self.session, url)

    @brief
    def link(self, url: str, *, form: Form = "path") -> str:
        """Return a URL that leads to the workflow's node by itself.

        For wget, a browser, OPeNDAP readers, or a service that fetches it. Behind a
        strict proxy it is ``/.affinity/KEY/...`` at the same origin; else the node's
        own URL. **The link contains the routing key, and so does every log, history
        and document that contains the link**: it lets others send requests to the node
        under this machineid. The workflow keeps its node from now on. The URL's host
        must be in scope, as for `headers`.

        Parameters
        ----------
        url : str
            An output, a status document, or the service's URL.
        form : {"path", "query"}, default "path"
            Where a strict proxy finds the key. Many readers replace the query but
            keep the path.

        Raises
        ------
        OutOfScope
            It is not an http or https URL, or its host is not in scope.
        SteeringImpossible
            Behind a plain proxy only a header leads to the node.
        BackendUnavailable, TopologyError
            The node does not offer the service.
        """
        from .clients.links import link_for

        self._check_open()
        return link_for(self.session, url, form)

    @brief
    def gdal_env(self, url: str) -> GdalEnv:
        """Return GDAL's options that lead its requests to the workflow's node.

        For rasterio, fiona and geopandas. As a context manager it sets the options in
        those of them that are imported, until the block ends; as a mapping it is what
        ``rasterio.Env(**env)`` or the environment of a program takes. The options are
        the header of `headers`, and the login, cookies and certificates of the
        service's client, except a digest login. The workflow keeps its node from now on.

        **GDAL sends the header and the login to each host that it opens inside the
        block, and follows redirects with the header.** So open only URLs of the
        workflow there. rasterio and fiona keep the options to the thread, outside of
        the main thread; geopandas' pyogrio does not, so two threads cannot be in the
        blocks of two workflows with it.

        Parameters
        ----------
        url : str
            The URL to open, or the service's. Open ``f"/vsicurl/{url}"`` with
            geopandas, which otherwise asks for the URL by itself first. GDAL 3.6 or
            newer is needed.

        Raises
        ------
        OutOfScope, BackendUnavailable, SteeringImpossible, TopologyError
            As `headers`.
        InvalidRequest
            The workflow sends requests to the node itself: open ``wf.link(url)``. On
            entering: none of the libraries is imported, or see above.

        Examples
        --------
        >>> with wf.gdal_env(url), rasterio.open(url) as raster:  # doctest: +SKIP
        ...     values = raster.read(1)
        """
        from .clients.gdal import gdal_env_for

        self._check_open()
        return gdal_env_for(self.session, url)

    @brief
    def open_dataset(self, url: str | Output, **options: Any) -> xarray.Dataset:
        """Open a file or an OPeNDAP resource with xarray, from the workflow's node.

        Parameters
        ----------
        url : str or Output
            What to open. Anything but an OPeNDAP resource is downloaded to a temporary
            file, which is removed when the dataset is closed, or when Python ends.
        **options
            Those of `xarray.open_dataset`.

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

        self._check_open()
        return output_at(self.session, url).open_dataset(**options)

    @brief
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
            The files to fetch.
        directory : path
            Created if it does not exist. Files are named after their URLs, cleaned; of
            two equal names the second gets a number.
        parallel : int, default 4
            How many at a time.
        progress : bool, optional
            Show a progress bar of the files; by default in a notebook only.

        Returns
        -------
        list of Download
            In the order of `urls`; each can be used as its path.

        Raises
        ------
        InvalidRequest, OutOfScope
            One is not a URL; nothing was fetched.
        OutputUnavailable, DownloadFailed
            One could not be fetched. Those that are complete stay.
        """
        from .clients.outputs.output import download_all

        self._check_open()
        return download_all(self.session, urls, directory, parallel=parallel, progress=progress)

    def add_scope(self, *hosts: str) -> None:
        """Send the machineid to further hosts, too.

        Parameters
        ----------
        *hosts : str
            Host names, or URLs, whose host is used; every port of it is in scope. The
            origin of a URL counts as a service's: a file there is not passed on to a
            service under its plain URL.
        """
        for host in hosts:
            self.session.pin.add_scope(host)

    # ---- for people ----

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

        It has the versions, the options of the workflow, its topology, steps, the last
        requests, warnings and the last error. User, password and query are removed
        from every URL; the machineid is kept.

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
        """End the workflow and close its connections. May be repeated."""
        self.session.close()

    def _check_open(self) -> None:
        if self.closed:
            raise WorkflowClosed(
                f"workflow {self.machineid!r} is closed; make a new one, or "
                f"Workflow({self.machineid!r}) if its files are still needed",
                about=self,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.session,)

    def __repr__(self) -> str:
        on = f" on node {self.node!r} ({self.node_known})" if self.node else ", node not known"
        closed = ", closed" if self.closed else ""
        return f"<Workflow {self.machineid!r}{on}{closed}>"


def _unpickle(session: AffinitySession) -> Workflow:
    return Workflow._of(session)


def current_workflow() -> Workflow:
    """Return the current workflow.

    Returns
    -------
    Workflow
        The one of the innermost ``with`` block of this thread or asyncio task; else
        the one of this Python process, whose machineid is taken from
        ``PAVICS_AFFINITY_MACHINEID`` or minted once. A new thread begins outside of
        any block.
    """
    return Workflow._of(ambient_session())


# ---- for batches ----


def stop_sending(workflow: Workflow) -> None:
    """Have the next request raise; the answer to the last one is still read and noted."""
    workflow.session.refuse()


def known_sources(workflow: Workflow) -> tuple[TopologySource, ...]:
    """Return what a workflow knows of sites."""
    return tuple(workflow.session.pin.sources)
