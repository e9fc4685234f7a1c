"""A `birdy.WPSClient` whose every request keeps to the workflow's node.

birdy is of the extra ``birdy``; this module is imported where a client is made.
"""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar

from lxml import etree
from owslib.util import ServiceException
from owslib.wps import ASYNC, WPS_DEFAULT_VERSION

from ...errors import InvalidRequest, MissingExtra, message_of
from ...record import calling
from ...transport.session import reset_session, use_session
from ..http import xml
from ..http.answers import given
from ..http.sending import before_sending
from ..references import as_input
from ..wps.descriptions import readable
from ..wps.execution import Execution
from ..wps.service import WebProcessingService

try:
    import birdy
    from birdy.client.notebook import is_notebook, monitor
    from birdy.client.utils import filter_case_insensitive
    from birdy.exceptions import UnauthorizedException
    from birdy.utils import sanitize
except ImportError as error:
    raise MissingExtra.of("birdy", "A birdy client") from error

from .converters import Converters
from .results import BirdyExecution, console, pinned_result, wait_in_console

if TYPE_CHECKING:
    from ...transport import AffinitySession


class _BirdyService(WebProcessingService):
    execution_type: ClassVar[type[Execution]] = BirdyExecution
    progress: Callable[[], logging.Logger] | None = None

    def learn(self, descriptions: str | bytes) -> None:
        """Check inputs against descriptions from elsewhere."""
        self._descriptions.learn(self._service, given(descriptions))

    def execute(self, *args: Any, **options: Any) -> Execution:
        """Run a process; with `progress`, asynchronously, and show how far it is.

        birdy's own monitor takes Ctrl-C for the rest of the Python process, and so
        works in the main thread only.
        """
        if self.progress is None:
            return super().execute(*args, **options)
        logger = self.progress()
        with calling(
            waiting=lambda seconds, words: logger.info("%s; waits for %.0f s", words, seconds)
        ):
            execution = super().execute(*args, **options | {"mode": ASYNC})
        if is_notebook():
            monitor(execution, sleep=0.2)
        else:
            wait_in_console(execution, logger)
        return execution


class WPSClient(birdy.WPSClient):
    """A birdy client on a workflow's session.

    It is a `birdy.WPSClient`, with its generated methods, docstrings, progress
    and widgets. Of birdy's arguments ``auth`` is not reduced to its headers: it
    signs each request to the service's own origin. Inputs may also be outputs
    of earlier steps: a result that has one output, an `Output`, or its URL.

    Parameters
    ----------
    url : str
        The service's URL.
    processes : str or list of str, optional
        Only these; by default all.
    converters : sequence of classes, optional
        For ``get(asobj=True)``, as birdy defines them. What they fetch by
        `BaseConverter.file` and ``.data`` comes from the workflow's node.
    username, password, headers, auth, verify, cert, version, language, timeout
        As `WebProcessingService` takes them.
    progress : bool, default False
        Run asynchronously, and show how far it is.
    caps_xml, desc_xml : str or bytes, optional
        Documents from elsewhere; they are not asked for.
    lineage : bool, default False
        Have inputs repeated in the response.
    session : AffinitySession, optional
        The workflow's; by default the ambient one.
    **options
        Further ones of birdy's.

    Examples
    --------
    The drop-in changes one line, ``from birdy import WPSClient``. As the last base of a
    subclass of birdy's client it pins that one:

    >>> class PinnedRooki(Rooki, WPSClient):  # doctest: +SKIP
    ...     pass

    Raises
    ------
    birdy.exceptions.UnauthorizedException
        The service refuses its capabilities to this user.
    ValueError
        One of `processes` is not offered.
    ServiceUnreachable, NotAService, MachineIdConflict
        As `WebProcessingService`.
    """

    #: The class that `pinned_class` was given.
    _pinned_from: ClassVar[type[Any] | None] = None

    def __init__(
        self,
        url: str,
        processes: str | list[str] | None = None,
        converters: Sequence[Any] | None = None,
        username: str | None = None,
        password: str | None = None,
        headers: dict[str, str] | None = None,
        auth: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        progress: bool = False,
        version: str = WPS_DEFAULT_VERSION,
        caps_xml: str | bytes | None = None,
        desc_xml: str | bytes | None = None,
        language: str | None = None,
        lineage: bool = False,
        *,
        timeout: Any = None,
        session: AffinitySession | None = None,
        **options: Any,
    ) -> None:
        if username is not None and auth is None:
            auth = (username, password)
        service = _BirdyService(
            url,
            version=version,
            skip_caps=True,
            headers=headers,
            verify=None if verify is True else verify,
            cert=cert,
            timeout=timeout,
            auth=auth,
            language=language,
            session=session,
        )
        try:
            caps_xml = caps_xml or service.capabilities_document()
            service.getcapabilities(xml=caps_xml)
            if desc_xml is None:
                desc_xml = _descriptions(service, processes)
                processes = None
            else:
                service.learn(desc_xml)
        except ServiceException as error:
            if "AccessForbidden" in str(error):
                raise UnauthorizedException(message_of(error)) from error
            raise
        self._begin(
            service,
            {
                "processes": processes,
                "converters": converters,
                "caps_xml": xml.plain(etree.tostring(given(caps_xml))),
                "desc_xml": _without_crs(xml.plain(readable(desc_xml))),
                "lineage": lineage,
                **options,
            },
            progress=progress,
        )

    def _begin(
        self, service: _BirdyService, given: dict[str, Any], *, progress: bool = False
    ) -> None:
        before = dict(vars(self))  # what a subclass has set
        # With both documents given, birdy asks for nothing; its own client is then replaced.
        super().__init__(
            service.url,
            version=service.version,
            language=service.language,
            **given | {"converters": Converters(service.session, given["converters"])},
        )
        # birdy sets its mode by `progress`, which it is not given; rooki keeps its own there.
        self.__dict__.update(before)
        # birdy has no public way to take a client: this is its one private name that we set.
        self._wps = service
        self._given = given
        if progress:
            self.logger = console()
            service.progress = lambda: self.logger  # a subclass may have another one
        for process in service.processes:
            method = getattr(self, sanitize(process.identifier), None)
            if inspect.ismethod(method) and method.__self__ is self:
                taking = _taking_outputs(service, process.identifier, method.__func__)
                setattr(self, sanitize(process.identifier), types.MethodType(taking, self))
        self._made_here = set(vars(self)) - set(before) | {"_made_here"}

    def __reduce__(self) -> tuple[Any, ...]:
        of_a_subclass = {k: v for k, v in vars(self).items() if k not in self._made_here}
        made_of = (
            self._pinned_from or type(self),
            self._wps,
            self._given,
            self._wps.progress is not None,
        )
        return _rebuild, made_of, of_a_subclass

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._wps.url}>"


@cache
def pinned_class(cls: Any) -> type[WPSClient]:
    """Return a subclass of birdy's client whose ``super()`` calls reach ours."""
    found: type[WPSClient] = cls
    if issubclass(cls, WPSClient):
        return found
    members = {"__module__": cls.__module__, "__doc__": cls.__doc__, "_pinned_from": cls}
    return type(cls.__name__, (cls, WPSClient), members)


def _rebuild(kind: Any, service: _BirdyService, given: dict[str, Any], progress: bool) -> WPSClient:
    cls = pinned_class(kind)
    client = cls.__new__(cls)
    service.learn(given["desc_xml"])
    client._begin(service, given, progress=progress)
    return client


def make_client(session: AffinitySession, url: str, cls: Any, options: dict[str, Any]) -> WPSClient:
    """Make a client of a subclass of birdy's on a session; see `Workflow.birdy`."""
    if birdy.WPSClient not in getattr(cls, "__mro__", ()):
        raise InvalidRequest(
            f"cls is {cls!r}; expected a subclass of birdy's WPSClient", about=session, url=url
        )
    # The subclass's constructor takes no session: its client uses the ambient one.
    token = use_session(session)
    try:
        return pinned_class(cls)(url, **options)
    finally:
        reset_session(token)


def _descriptions(service: WebProcessingService, processes: str | list[str] | None) -> bytes:
    """Ask for the descriptions of these processes, or of all, as one document."""
    offered = [process.identifier for process in service.processes]
    if processes is None:
        try:
            return service.description_document("all")
        except ServiceException:
            processes = offered  # some services describe one at a time only
    wanted, missing = filter_case_insensitive(processes, offered)
    if missing:
        raise ValueError(
            f"These process names were not found on the WPS server: {', '.join(missing)}"
        )
    whole = etree.Element("{http://www.opengis.net/wps/1.0.0}ProcessDescriptions")
    for identifier in wanted:
        root = xml.parse(service.description_document(identifier))
        whole.extend(list(root.iterchildren("{*}ProcessDescription")))
    return etree.tostring(whole)


def _without_crs(descriptions: str | bytes) -> bytes:
    """Remove the CRSs of bounding boxes: birdy takes them for formats, and for the default."""
    root = given(descriptions)
    for box in root.iterfind("{*}ProcessDescription/{*}DataInputs/{*}Input/{*}BoundingBoxData"):
        box.clear()
    return etree.tostring(root)


def _taking_outputs(
    service: WebProcessingService, identifier: str, method: Callable[..., Any]
) -> Callable[..., Any]:
    """Let a generated method take outputs of earlier steps as its arguments."""
    signature = inspect.signature(method)

    @wraps(method)
    def call(self: Any, *args: Any, **inputs: Any) -> Any:
        try:
            bound = signature.bind(self, *args, **inputs)
        except TypeError:
            bound = None
        if bound is None:  # outside the except block, which would show both errors
            return method(self, *args, **inputs)  # raises it in the method's own words
        with before_sending():
            described = service.description(identifier)
            rules = {} if described is None else described.inputs
            for name, rule in rules.items():
                argument = sanitize(name)
                value = bound.arguments.get(argument)
                # A result of birdy's is a tuple with names; one without is several values.
                if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
                    bound.arguments[argument] = [
                        as_input(service.session, name, item, rule) for item in value
                    ]
                elif value is not None:
                    bound.arguments[argument] = as_input(service.session, name, value, rule)
        return pinned_result(method(*bound.args, **bound.kwargs))

    return call
