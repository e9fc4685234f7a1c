"""Every error of pavics-affinity, in one tree.

Each also derives from the error that OWSLib, requests or Python itself raise in that
case, so the ``except`` clauses of an existing script keep working::

    AffinityError
    ├── InvalidMachineId (ValueError)        an id that a header cannot contain
    ├── MachineIdConflict (ValueError)       two ids for one workflow
    ├── WorkflowClosed (RuntimeError)        used after its ``with`` block
    ├── MissingExtra (ImportError)           a package of an extra is not installed
    ├── TopologyError (ValueError)           nodes and services that contradict each other
    │   ├── UnknownNode (LookupError)
    │   └── UnknownService (LookupError)
    ├── NginxConfigError (ValueError)        nginx files that cannot be used
    ├── InvalidPlacement (ValueError)        a ``hash`` or ``server`` line that nginx rejects
    ├── PlacementUndetermined (LookupError)  what nginx would do cannot be predicted
    ├── SteeringImpossible (LookupError)     no routing key leads to the node
    ├── InvalidRequest (ValueError)          refused before anything was sent
    │   ├── UnknownProcess (LookupError, owslib.util.ServiceException)
    │   ├── UnknownInput (LookupError)
    │   ├── UnknownOutput (LookupError)
    │   └── ReferenceRefused                 an input that the service could not fetch
    ├── ChainFailed                          a value of `map_workflows` that cannot travel
    ├── JournalError (ValueError)
    │   └── JournalLocked (BlockingIOError)
    ├── TransportError (requests.RequestException)
    │   ├── ServiceUnreachable (requests.ConnectionError)
    │   ├── BackendUnavailable (requests.ConnectionError)
    │   │   └── NoAnswer (requests.ReadTimeout)
    │   ├── ExecuteOutcomeUnknown (requests.ConnectionError)
    │   │   └── ExecuteRedirected            answered 301, 302 or 303
    │   ├── AffinityLost                     another node answered
    │   ├── OutOfScope (requests.InvalidURL)
    │   ├── RedirectLoop (requests.TooManyRedirects)
    │   ├── OutputUnavailable (requests.HTTPError)
    │   └── DownloadFailed (OSError)
    └── ServiceError (owslib.util.ServiceException)
        ├── NotAService (requests.HTTPError) the URL is not this kind of service
        ├── ServiceBusy (requests.HTTPError, RuntimeError) no place in its queue; nothing ran
        ├── ExecutionFailed                  the process failed; the server's own words
        ├── ExecutionTimeout (TimeoutError)
        └── StatusLost                       the status document is gone

Warnings have their own tree, below ``AffinityWarning`` (UserWarning). The module is long
because it is the reference of all of them; the classes have no code.
"""

from __future__ import annotations

from typing import Any, Protocol

import requests
from lxml.etree import LxmlError
from owslib.util import ServiceException

from .markup import without_login

MANUAL = "https://pavics-affinity.readthedocs.io/en/latest/"
"""Where the manual is published."""


class AffinityWarning(UserWarning):
    """Base of every warning of pavics-affinity."""


class AffinityLostWarning(AffinityWarning):
    """Another node answered, and the workflow continues because it is not strict."""


class EvidenceStrippedWarning(AffinityWarning):
    """Something on the way removes the promised evidence, so that it cannot prove the node."""


class AdapterIgnoredWarning(AffinityWarning):
    """An adapter that was mounted on a session is not used, because it bypasses the workflow."""


class NginxConfigWarning(AffinityWarning):
    """A line of an nginx file is not understood, or does not do what it is meant to do."""


class OutcomeUnknownWarning(AffinityWarning):
    """An Execute of a resumed workflow may have been executed, or not."""


class UnevenLoadWarning(AffinityWarning):
    """A batch does not know the nodes, so the proxy's hash spreads its chains unevenly."""


class NothingSentWarning(AffinityWarning):
    """The results of `map_workflows` were dropped before they were iterated over."""


class JournalWarning(AffinityWarning):
    """What happened after an Execute was sent could not be written to the journal."""


class Pinned(Protocol):
    """What an error may be about: a workflow, its session or its pin."""

    @property
    def machineid(self) -> str:
        """The workflow's identity."""

    @property
    def node(self) -> str | None:
        """The workflow's node."""


class AffinityError(Exception):
    """Base of every error that pavics-affinity raises.

    As a string, it is the message, and in a last line the URL of its section in the manual.

    Attributes
    ----------
    message : str
        The message without that line.
    machineid : str or None
        The workflow's id, if one is concerned.
    node : str or None
        Name of the node concerned, as in the topology.
    url : str or None
        The URL concerned, as the caller knows it, without user and password.
    attempts : int or None
        Requests or connections tried, the first included.
    """

    def __init__(
        self,
        message: str,
        *,
        about: Pinned | None = None,
        machineid: str | None = None,
        node: str | None = None,
        url: str | None = None,
        attempts: int | None = None,
        **details: Any,
    ) -> None:
        # Every message passes here, on its way to logs and other processes.
        super().__init__(without_login(message))
        if about is not None:
            machineid, node = machineid or about.machineid, node or about.node
        self.machineid = machineid
        self.node = node
        self.url = without_login(url) if isinstance(url, str) else url
        self.attempts = attempts
        for name, value in details.items():
            setattr(self, name, without_login(value) if isinstance(value, str) else value)

    @property
    def message(self) -> str:
        """What failed, why, and what to do, without the URL of the manual."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        # A LookupError would show the repr, an OSError an errno.
        return f"{self.message}\n{see_manual(type(self))}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Batches hand errors from process to process; a response does not travel. tblib, which
        # Dask users install, also pickles what an error comes from, and cannot pickle lxml's.
        for link in ("__cause__", "__context__"):
            source = getattr(self, link)
            if isinstance(source, LxmlError):
                setattr(self, link, ValueError(str(source)).with_traceback(source.__traceback__))
        state = {k: v for k, v in self.__dict__.items() if k not in ("request", "response")}
        return _rebuild, (type(self), self.message, state)


def see_manual(kind: type[AffinityError | AffinityWarning]) -> str:
    """Return the line that names the manual's section about a class, or about its base of ours."""
    ours = next(base for base in kind.__mro__ if base.__module__ == __name__)
    return f"See {MANUAL}errors.html#{ours.__name__.lower()}"


def message_of(error: BaseException) -> str:
    """Return an error's words for another text: for one of ours without the manual's URL."""
    return error.message if isinstance(error, AffinityError) else str(error)


def say_also(error: AffinityError, sentence: str) -> None:
    """Add a sentence to an error's message, unless it is there."""
    said = error.message
    if sentence in said:
        return
    stop = "" if said.endswith((".", "?", "!")) else "."
    error.args = (f"{said}{stop} {without_login(sentence)}", *error.args[1:])


def _rebuild(cls: type[AffinityError], message: str, state: dict[str, Any]) -> AffinityError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class InvalidMachineId(AffinityError, ValueError):
    """The value cannot be a machineid: 1 to 200 of ``A-Z a-z 0-9 - . _``."""


class MachineIdConflict(AffinityError, ValueError):
    """A header names another machineid than the workflow's, and only one can be sent."""


class WorkflowClosed(AffinityError, RuntimeError):
    """The workflow was used after it was closed."""


class MissingExtra(AffinityError, ImportError):
    """A package is missing that only one of our extras installs.

    Attributes
    ----------
    extra : str
        Name of the extra, as ``pip install 'pavics-affinity[extra]'`` takes it.
    """

    extra: str

    @classmethod
    def of(cls, extra: str, wanted_for: str) -> MissingExtra:
        """Make the error for an extra, with the command that installs it."""
        return cls(
            f"{wanted_for} needs packages that are not installed; "
            f"run: pip install 'pavics-affinity[{extra}]'",
            extra=extra,
        )


class TopologyError(AffinityError, ValueError):
    """A description of nodes and services that is invalid.

    Attributes
    ----------
    file : str or None
        The file that contains it.
    key : str or None
        Dotted path of the offending key.
    line : int or None
        Its line, from 1.
    """

    file: str | None = None
    key: str | None = None
    line: int | None = None


class UnknownNode(TopologyError, LookupError):
    """No node has this name."""


class UnknownService(TopologyError, LookupError):
    """No service has this name, or none covers this URL."""


class NginxConfigError(AffinityError, ValueError):
    """Nginx files that do not parse, or contain nothing that can be used.

    Attributes
    ----------
    file : str or None
        The file, as given or as an ``include`` names it.
    line : int or None
        The line, from 1.
    missing : str or None
        The file that an ``include`` names and that does not exist.
    """

    file: str | None = None
    line: int | None = None
    missing: str | None = None


class InvalidPlacement(AffinityError, ValueError):
    """A ``hash`` directive, a ``server`` line or a weight that nginx would refuse."""


class PlacementUndetermined(AffinityError, LookupError):
    """What nginx would do with this key cannot be predicted; the message says why."""


class SteeringImpossible(AffinityError, LookupError):
    """No routing key makes the proxy choose the node; the message says why."""


class InvalidRequest(AffinityError, ValueError):
    """A request was refused before anything was sent."""


class UnknownProcess(InvalidRequest, LookupError, ServiceException):
    """The service offers no process of this name; the message lists similar ones."""


class UnknownInput(InvalidRequest, LookupError):
    """The process has no input of this name; the message lists similar ones."""


class UnknownOutput(InvalidRequest, LookupError):
    """The process has no output of this name; the message lists similar ones."""


class ReferenceRefused(InvalidRequest):
    """The service might not fetch this input from the workflow's node."""


class ChainFailed(AffinityError):
    """A chain of `map_workflows` has no result that can be returned.

    Its error or its value cannot travel between processes, or the Dask worker that ran it died.
    """


class JournalError(AffinityError, ValueError):
    """A journal that cannot be read or continued."""


class JournalLocked(JournalError, BlockingIOError):
    """Another process writes this journal."""


class TransportError(AffinityError, requests.RequestException):
    """A request did not return what it asked for."""


class ServiceUnreachable(TransportError, requests.ConnectionError):
    """Nothing answers at the service's address.

    The message says that nothing was executed if the request was an Execute, and only then.
    """


class BackendUnavailable(TransportError, requests.ConnectionError):
    """The workflow's node did not answer, and its files are on no other node.

    Raised once the node is pinned. Nothing was sent to another node, so no step runs without its
    files.
    """


class NoAnswer(BackendUnavailable, requests.ReadTimeout):
    """The request was accepted, and no answer began within the read time-out.

    It is not repeated, because the server may be working on it.
    """


class ExecuteOutcomeUnknown(TransportError, requests.ConnectionError):
    """An Execute was sent, and no complete answer came: it may have run, or not.

    It was not sent again. The message says what is known.
    """


class ExecuteRedirected(ExecuteOutcomeUnknown):
    """An Execute was answered 301, 302 or 303; following would turn it into a GET.

    After 303 it ran; after 301 and 302 it is not known whether it ran.

    Attributes
    ----------
    location : str
        The URL that the answer names, without user and password; empty if it names none.
    """

    location: str


class AffinityLost(TransportError):
    """Another node than the workflow's answered, or none can be proved to have.

    Attributes
    ----------
    answered_by : str or None
        The node, or the address, that answered; None where the evidence
        of earlier answers was missing.
    """

    answered_by: str | None = None


class OutOfScope(TransportError, requests.exceptions.InvalidURL):
    """A URL that the workflow's requests must not go to.

    Also raised if an Execute is redirected (307 or 308) to a host out of scope: it was
    not sent there, and nothing was executed.
    """


class RedirectLoop(TransportError, requests.TooManyRedirects):
    """A URL was redirected again and again."""


class OutputUnavailable(TransportError, requests.HTTPError):
    """An output cannot be fetched: its URL answers with an error, or it is empty."""


class DownloadFailed(TransportError):
    """A download broke off; there is no file under the final name."""


class ServiceError(AffinityError, ServiceException):
    """A service answered that it could not do what was asked."""


class NotAService(ServiceError, requests.HTTPError):
    """The URL answers, but is not the service that was expected."""


class ServiceBusy(ServiceError, requests.HTTPError, RuntimeError):
    """The service had no place for an Execute, for as long as `patience` lasted: nothing ran.

    OWSLib raises one of the bases, depending on the service.

    Attributes
    ----------
    code : str or None
        ``"ServerBusy"``, if the service said so in a WPS exception.
    retry_after : float or None
        Seconds to wait, as the last answer asks (``Retry-After``).
    """

    code: str | None = None
    retry_after: float | None = None


class ExecutionFailed(ServiceError):
    """The process failed; the message is the server's own.

    Attributes
    ----------
    code : str or None
        The OWS exception code, such as ``InvalidParameterValue``.
    locator : str or None
        What the server names as the cause, often an input.
    """

    code: str | None = None
    locator: str | None = None


class ExecutionTimeout(ServiceError, TimeoutError):
    """The execution did not end within the time that ``wait`` was given; it continues."""


class StatusLost(ServiceError):
    """The status document is gone, and perhaps the node that wrote it."""
