"""One request of a caller's with all its attempts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import requests
import urllib3

from ..errors import (
    AffinityError,
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    ExecuteRedirected,
    MachineIdConflict,
    NoAnswer,
    OutOfScope,
    ServiceUnreachable,
    TransportError,
)
from ..markup import without_login
from ..pin import Site, Target
from ..protocol import CONNECTED_HEADER, split_key
from ..record import NodeKnown, Request, current_operation
from ..record.steps import Step, current_step, digest_of
from ..topology.urls import Origin, origin_of
from . import faults
from .credentials import NOTHING, check_files
from .environment import environment_proxies
from .times import (
    CONNECT_TIMEOUT,
    EXECUTE_TIMEOUT,
    READ_TIMEOUT,
    Patience,
    as_timeout,
    asked_to_wait,
    current_deadline,
    retry_after,
)
from .wire import (
    SECRET_HEADERS,
    WireRequest,
    WireResponse,
    is_execute,
    label_of,
    shown,
    without_secrets,
)

if TYPE_CHECKING:
    from .adapter import AffinityAdapter

_GATEWAY = frozenset({502, 503, 504})
_MISDIRECTED = 421
_TOO_MANY = 429
_REFUSED = frozenset({_MISDIRECTED, _TOO_MANY})
"""Answers that say that nothing ran."""

_ASKS_TO_WAIT = frozenset({_TOO_MANY, 503})
_AFTER_TOO_MANY = 1.0
"""Seconds to wait after a 429 that does not say how long."""

_LEAST_TIMEOUT = 0.05
"""Seconds that a question is given at least, however little of the deadline is left."""

_SEE_OTHER = 303
_TURNED_INTO_GET = frozenset({301, 302, _SEE_OTHER})
_SENT_ON = frozenset({307, 308})
"""Redirects that keep the method and the body."""

_RAN = (
    "303 says that it ran, and that the location is that of its result (RFC 9110, 15.4.4). Read "
    "the result with .attach(error.location), or .session.get(error.location)"
)
_MAY_HAVE_RUN = (
    "Whether it ran is not known: most servers answer so before they run anything, some "
    "afterwards. Look at the service's jobs; if it did not run, make the client with that URL"
)
_MOST_OF_A_REDIRECT = 65_536
"""Bytes: requests reads the body of each redirect that it follows, to its end."""


class Exchange:
    """Sends one request until it is answered, or must not or cannot be sent again."""

    def __init__(
        self,
        adapter: AffinityAdapter,
        request: requests.PreparedRequest,
        stream: bool,
        timeout: Any,
        verify: bool | str,
        cert: Any,
        proxies: Any,
    ) -> None:
        self.adapter = adapter
        self.pin = adapter.pin
        self.request = request
        self.url = request.url or ""
        self.stream = stream
        self.verify = verify
        self.cert = cert
        self.proxies = proxies
        self.execute = is_execute(request)
        self.step = self._step() if self.execute else None
        self.timeout = self._timeout(timeout)
        self.node: str | None = None
        self.named: str | None = None
        self.attempts = 0
        self.tried_node = False
        self.patience = Patience(current_deadline(adapter.deadline))

    def run(self) -> requests.Response:
        """Return the answer of the right node, or raise."""
        started = time.time()
        target: Target | None = None
        response: WireResponse | None = None
        error: BaseException | None = None
        try:
            while response is None:
                # Another thread may close the workflow between two attempts.
                self.adapter.check_open(self.url)
                target = self.pin.route(self.url, execute=self.execute)
                response = self._attempt(target)
        except BaseException as raised:
            error = raised
            self._step_broke_off(raised)
            raise
        finally:
            self._record(started, target, response, error)
        if self.step is not None and self.step.state == "sending":
            self.step.answered(self.node)
        return response

    # ---- one attempt ----

    def _attempt(self, target: Target) -> WireResponse | None:
        """Send once; None means that it may be, and is to be, sent again."""
        wire = self._wire(target)
        if self.step is not None:
            self.step.sending(target.node, self.pin.machineid)
        self.attempts += 1
        self.node, self.named = target.node, None
        response: WireResponse | None = None
        try:
            with self._under_way(target):
                response = self._transmit(wire)
                self._note_refusal(response, target)
                stray = self._judge(response, target)
            if self._accepted(response, target, stray):
                return response
        except BaseException as raised:
            # An error keeps what it was raised over, for as long as somebody keeps the error.
            if response is not None:
                response.close()
            if isinstance(raised, AffinityError) or not isinstance(
                raised, requests.RequestException
            ):
                raise
            self._after_fault(raised, target)
            return None
        response.close()
        return None

    def _accepted(self, response: WireResponse, target: Target, stray: str | None) -> bool:
        """Tell whether the answer is for the caller, and read it unless it is streamed."""
        if stray is not None and (self.execute or not self.patience.wait()):
            self._astray(target, stray)
            stray = None
        if stray is None and response.is_redirect:
            _read_a_little(response)
        if stray is None and not self.stream:
            # Read while a fault can still be told from an answer.
            response.content  # noqa: B018  # the property reads the body
        return stray is None and self._is_final(response, target)

    @contextlib.contextmanager
    def _under_way(self, target: Target) -> Iterator[None]:
        """Hold the node while an Execute is under way; for good, unless it is known not to run."""
        step = self.step
        if step is None:
            yield
            return
        with self.pin.under_way(target, lambda: step.ran):
            try:
                yield
            except requests.RequestException as fault:
                if not isinstance(fault, AffinityError) and faults.was_not_sent(fault):
                    step.not_sent()
                raise

    def _note_refusal(self, response: requests.Response, target: Target) -> None:
        """Let the step know where an answer says that the Execute reached no service."""
        refused = response.status_code in _REFUSED or self._leaves_the_scope(response)
        if self.step and (refused or self._refused_behind_proxy(response, target)):
            self.step.not_sent()

    def _judge(self, response: requests.Response, target: Target) -> str | None:
        told = response.status_code, response.headers
        try:
            return self.pin.judge(target, *told, self.url)
        finally:
            self.named = self.pin.named(target, *told)
            self.node = self.named or self.node

    def _wire(self, target: Target) -> WireRequest:
        wire = WireRequest.copy_of(self.request, target.url)
        headers = wire.headers
        self._drop_own_key(headers, target)
        if target.key is not None:
            headers[target.header] = target.key
        rewritten = target.url != self.url
        settings = self.adapter.origins.of(self.url)
        if rewritten:
            public, actual = origin_of(self.url), origin_of(target.url)
            if public and actual and actual.scheme == "https":
                wire.tls_name = public.host
            settings = self._settings_off_the_proxy(wire, public, actual)
        for name, value in settings.headers.items():
            headers.setdefault(name, value)
        self._tls = (
            self.verify if settings.verify is None else settings.verify,
            settings.cert if self.cert is None else self.cert,
        )
        verify, cert = self._tls
        over_tls = (wire.url or "").lower().startswith("https:")  # else requests needs no authority
        check_files(verify if over_tls else None, cert, self.url)
        if self.execute:
            headers["Connection"] = "close"
        return wire

    def _settings_off_the_proxy(
        self, wire: WireRequest, public: Origin | None, actual: Origin | None
    ) -> Any:
        """Keep credentials to whom they were given when a node is asked itself."""
        given = self.adapter.origins.of(self.url)
        if self.pin.route_policy == "direct":
            secret = given.has_credentials or any(name in wire.headers for name in SECRET_HEADERS)
            if secret and public and actual and public.scheme == "https" != actual.scheme:
                raise OutOfScope(
                    f"the credentials for {public} will not be sent in clear to {actual}; give "
                    "the service tls = true if its nodes speak https, or use route='proxy'",
                    machineid=self.pin.machineid,
                    url=self.url,
                )
            return given
        without_secrets(wire.headers)
        settings = self.adapter.origins.of(wire.url or "") or NOTHING
        if callable(settings.auth):
            settings.auth(wire)
        if settings.verify is None and given.verify is not None:
            self.verify = given.verify
        return settings

    def _drop_own_key(self, headers: Any, target: Target) -> None:
        """Take away a machineid that the caller set: ours is the one that travels."""
        for name in {target.header, self.pin.header}:
            value = headers.get(name)
            if value is None:
                continue
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if target.key is not None and split_key(text)[0] != self.pin.machineid:
                raise MachineIdConflict(
                    f"the request has {name}: {text!r}, and the workflow's machineid is "
                    f"{self.pin.machineid!r}; leave the header out, give it to the first "
                    f"client, too, or make the workflow with Workflow({text!r})",
                    machineid=self.pin.machineid,
                    url=self.url,
                )
            if target.key is not None or split_key(text)[0] == self.pin.machineid:
                del headers[name]

    def _transmit(self, wire: WireRequest) -> WireResponse:
        verify, cert = self._tls
        proxies = self.proxies
        if wire.url != self.url:
            proxies = environment_proxies(wire.url or "")
        response = self.adapter.transmit(
            wire,
            fresh=self.execute,
            stream=True,
            timeout=self.timeout,
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        response.request = self.request
        response.url = self.url
        response.connection = self.adapter  # type: ignore[assignment]  # any adapter will do
        return response

    # ---- what to make of it ----

    def _after_fault(self, fault: requests.RequestException, target: Target) -> None:
        """Return if the request is to be sent again; raise otherwise."""
        # As an error's cause it may travel to other processes, and it has what the wire had.
        fault.request = None
        not_sent = faults.was_not_sent(fault)
        if self.execute and not not_sent:
            raise self._error(
                ExecuteOutcomeUnknown,
                target,
                f"the Execute was sent to {self._place(target)}, and no whole answer came: "
                f"{faults.in_words(fault)}, after {self.patience.seconds:.1f} s. It may have run, "
                "or not. It was not sent again; look at the service's jobs, or run the chain anew "
                "if running twice does no harm",
            ) from fault
        if not_sent and self._go_direct(target):
            return
        back = not_sent and self._back_to_proxy(target)
        if faults.is_final(fault) and not back:
            self._give_up(fault, target, not_sent)
        if isinstance(fault, requests.ReadTimeout) and not not_sent:
            raise self._error(
                NoAnswer,
                target,
                f"{self._place(target)} accepted the request, and no answer began within "
                f"{self._read_timeout():g} s ({shown(self.url)})",
            ) from fault
        if not_sent and target.route == "direct" and self._next_node(target):
            return
        if back and not self.tried_node:
            self.tried_node = True
            return
        if self.patience.wait():
            return
        if target.route == "direct" and self._leave(target, faults.in_words(fault)):
            return
        self._give_up(fault, target, not_sent)

    def _is_final(self, response: requests.Response, target: Target) -> bool:
        """Tell whether the answer is for the caller; raise if there is none to wait for."""
        status = response.status_code
        if self._leaves_the_scope(response):
            self._refuse_to_send_on(response, target)
        if status == _TOO_MANY:
            return not self._may_be_sent_again() or not self._wait(response)
        if target.site is None:
            final = status not in _GATEWAY or self.execute
            return final or not self._wait(response)
        if self.execute and status in _TURNED_INTO_GET:
            self._redirected(response, target)
        if status == _MISDIRECTED and target.site.topology is not None:
            return self._unknown_to_proxy(target)
        if status not in _GATEWAY:
            return True
        if self.execute:
            return self._execute_at_gateway(response, target)
        if status != 503 and self._next_node(target):
            return False
        what = f"the proxy answered {status}{asked_to_wait(response.headers)}"
        if self._wait(response) or self._leave(target, what):
            return False
        if target.site.pinned:
            raise self._unavailable(target, what)
        return True

    def _wait(self, response: requests.Response) -> bool:
        """Wait before the next attempt, as long as the answer asks; False if there is no time."""
        asked = retry_after(response.headers) if response.status_code in _ASKS_TO_WAIT else None
        if asked is None and response.status_code == _TOO_MANY:
            asked = _AFTER_TOO_MANY
        return self.patience.wait(asked or 0.0)

    def _may_be_sent_again(self) -> bool:
        """Tell whether the body is still there after it was sent once."""
        return self.request.body is None or isinstance(self.request.body, str | bytes)

    def _execute_at_gateway(self, response: requests.Response, target: Target) -> bool:
        if "xml" in response.headers.get("Content-Type", ""):
            return True
        if self._refused_behind_proxy(response, target):
            what = "it refused the proxy's connections"
            if self._may_be_sent_again() and (
                self._next_node(target) or self._wait(response) or self._leave(target, what)
            ):
                return False
            raise self._unavailable(target, what)
        status = response.status_code
        if self._answers_again(target):
            raise self._error(
                ExecuteOutcomeUnknown,
                target,
                f"the proxy answered the Execute with {status}, and {self._place(target)} answers "
                "other requests: the Execute may have run, or not. It was not sent again",
            )
        raise self._unavailable(
            target,
            f"the proxy answered the Execute with {status}; whether it ran before is not known, "
            "and it was not sent again",
        )

    def _refused_behind_proxy(self, response: requests.Response, target: Target) -> bool:
        """Tell whether a strict proxy says that it never reached the node."""
        topology = target.site.topology if target.site else None
        if topology is None or topology.proxy != "strict" or response.status_code not in _GATEWAY:
            return False
        connected = response.headers.get(CONNECTED_HEADER, "")
        return bool(connected) and not connected.strip("-, :")

    def _answers_again(self, target: Target) -> bool:
        """Ask the node something harmless until it answers or patience ends."""
        probe = self._wire(target)
        probe.method, probe.body = "GET", None
        probe.url = f"{target.url.partition('?')[0]}?service=WPS&request=GetCapabilities"
        for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
            probe.headers.pop(name, None)
        verify, cert = self._tls
        patience = Patience(current_deadline(self.adapter.deadline))
        connect, silence = self.timeout if isinstance(self.timeout, tuple) else (self.timeout,) * 2
        while True:
            left = max(patience.left, _LEAST_TIMEOUT)
            try:
                answer = self.adapter.transmit(
                    probe,
                    fresh=True,
                    stream=True,
                    timeout=(
                        min(left, connect or CONNECT_TIMEOUT),
                        min(left, silence or READ_TIMEOUT, READ_TIMEOUT),
                    ),
                    verify=verify,
                    cert=cert,
                    proxies=self.proxies,
                )
            except requests.RequestException:
                pass
            else:
                answer.close()
                if answer.status_code not in _GATEWAY:
                    return True
            if not patience.wait():
                return False

    def _location(self, response: requests.Response) -> str:
        """Return where a redirect leads, without user and password; empty if it does not say."""
        location = without_login(response.headers.get("Location", ""))
        with contextlib.suppress(ValueError):
            return requests.compat.urljoin(self.url, location) if location else ""
        return location

    def _leaves_the_scope(self, response: requests.Response) -> bool:
        """Tell whether an Execute is to be sent on, with its body, to a host out of scope."""
        if not self.execute or response.status_code not in _SENT_ON:
            return False
        location = self._location(response)
        here, there = origin_of(self.url), origin_of(location)
        same = here is not None and there is not None and here.host == there.host
        return bool(location) and not same and not self.pin.in_scope(location)

    def _refuse_to_send_on(self, response: requests.Response, target: Target) -> NoReturn:
        location = self._location(response)
        raise self._error(
            OutOfScope,
            target,
            f"the Execute was answered {response.status_code}, with the location "
            f"{location[:200]!r}, on a host out of the workflow's scope. It was not sent there, "
            "because its inputs may be private. Nothing was executed. If that host is the site's, "
            "call wf.add_scope(host), or make the client with that URL",
        )

    def _redirected(self, response: requests.Response, target: Target) -> NoReturn:
        location = self._location(response)
        raise self._error(
            ExecuteRedirected,
            target,
            f"the Execute was answered {response.status_code}, with the location "
            f"{location[:200]!r}. It was not sent again. "
            + (_RAN if response.status_code == _SEE_OTHER else _MAY_HAVE_RUN),
            location=location,
        )

    def _unknown_to_proxy(self, target: Target) -> bool:
        site = target.site
        if site is not None and site.renew(thorough=True) and self.patience.wait():
            return False
        what = "the proxy does not know the node (421)"
        if self._next_node(target) or self._leave(target, what):
            return False
        raise self._unavailable(target, what)

    def _astray(self, target: Target, answered: str) -> None:
        """Another node answered, for the server list has changed, and it is too late to repeat."""
        ran = " ran the Execute" if self.execute else " answered"
        self.pin.astray(target, answered, f"node {answered!r}{ran}", self.url)

    def _go_direct(self, target: Target) -> bool:
        """Leave the proxy aside for this site, if that is possible and safe."""
        if target.site is None or not self.pin.can_go_direct(self.url, target):
            return False
        target.site.direct = True
        message = (
            f"the proxy at {origin_of(self.url)} does not answer; the requests of workflow "
            f"{self.pin.machineid!r} go to node {target.node!r} itself from now on"
        )
        self.adapter.record.note(message)
        self.pin.warn_once(f"direct {origin_of(self.url)}", message)
        return True

    def _back_to_proxy(self, target: Target) -> bool:
        """Ask the proxy again, where its node cannot be reached from here and never could."""
        if not self.pin.back_to_proxy(target):
            return False
        self.adapter.record.note(
            f"node {target.node!r} does not answer either; the proxy is asked again"
        )
        return True

    def _next_node(self, target: Target) -> bool:
        return target.site is not None and target.site.pass_over(target.node)

    def _leave(self, target: Target, what: str) -> bool:
        """Turn to another node for good, with as much patience as before, if not strict."""
        if not self.pin.leave(target, what):
            return False
        self.patience = Patience(current_deadline(self.adapter.deadline))
        return True

    # ---- what to say ----

    def _give_up(
        self, fault: requests.RequestException, target: Target, not_sent: bool
    ) -> NoReturn:
        words = faults.in_words(fault)
        pinned = target.site is not None and target.site.pinned
        at_proxy = target.route != "direct" and not_sent and not self.tried_node
        if pinned and not at_proxy:
            raise self._unavailable(target, words) from fault
        who = "the service's proxy" if pinned else "the service"
        advice = f"Check the URL {shown(self.url)!r}, and whether the service is up"
        if self.step is None:
            # A job may run whoever asks: "nothing" would have it executed twice.
            advice += ". Running jobs and files are unaffected: ask again when it is back"
        elif not self.step.ran:
            advice += ". Nothing was executed"
        raise self._error(
            ServiceUnreachable,
            target,
            f"{who} at {origin_of(self.url)} does not answer: {words}, {self._tried()}. {advice}",
        ) from fault

    def _unavailable(self, target: Target, what: str) -> BackendUnavailable:
        error: BackendUnavailable = self._error(
            BackendUnavailable,
            target,
            f"{self._place(target)} does not answer: {what}, {self._tried()}. "
            f"The files of workflow {self.pin.machineid!r} are "
            "there only, and nothing was sent to another node. Start it again and "
            f"{self._once_it_is_back()}",
        )
        return error

    def _once_it_is_back(self) -> str:
        if self.step is None:
            return "ask again, or run the chain again in a new workflow"
        if self.step.ran:
            return "look at its jobs, or run the chain again if running twice does no harm"
        return "repeat the step, or run the chain again in a new workflow"

    def _error(
        self, kind: type[TransportError], target: Target, message: str, **details: Any
    ) -> Any:
        return kind(
            message,
            machineid=self.pin.machineid,
            node=target.node,
            url=self.url,
            attempts=self.attempts,
            **details,
        )

    def _tried(self) -> str:
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        return f"{times} in {self.patience.seconds:.1f} s"

    def _place(self, target: Target) -> str:
        if target.node is None:
            return f"the node behind {origin_of(self.url)}"
        at = f" ({origin_of(target.url)})" if target.route == "direct" else ""
        return f"node {target.node!r}{at}"

    # ---- bookkeeping ----

    def _step(self) -> Step:
        """Return the step that the client has begun for this Execute, or begin one."""
        process = current_operation() or label_of(self.request)
        body = self.request.body
        whole = body if isinstance(body, str | bytes) else None
        return current_step() or self.adapter.record.steps.begin(
            process.removeprefix("Execute").strip(),
            shown(self.url),
            digest=digest_of(self.url, whole),
        )

    def _step_broke_off(self, error: BaseException) -> None:
        if self.step is not None and self.step.state == "sending":
            if self.attempts:
                self.step.unknown(error)
            else:
                self.step.not_sent()

    def _timeout(self, given: Any) -> Any:
        for value in (given, self.adapter.timeout):
            if value is not None:
                return as_timeout(value)
        return (CONNECT_TIMEOUT, EXECUTE_TIMEOUT if self.execute else READ_TIMEOUT)

    def _read_timeout(self) -> float:
        read = self.timeout[1] if isinstance(self.timeout, tuple) else self.timeout
        return float(read or 0)

    def _record(
        self,
        started: float,
        target: Target | None,
        response: WireResponse | None,
        error: BaseException | None,
    ) -> None:
        site = target.site if target else None
        entry = Request(
            started=started,
            seconds=self.patience.seconds,
            method=self.request.method or "",
            operation=current_operation() or label_of(self.request),
            url=shown(self.url),
            service=target.service if target else None,
            node=self.node,
            node_known=self._known(site),
            route=target.route if target else "outside",
            status=response.status_code if response is not None else None,
            bytes=None if response is None else self._length(response),
            attempts=self.attempts,
            error=type(error).__name__ if error is not None else None,
        )
        self.adapter.record.add(entry, self.pin.machineid, error)
        if response is not None and self.stream:

            def ended(came: int) -> None:
                entry.bytes, entry.seconds = came, self.patience.seconds

            response.ended = ended

    def _known(self, site: Site | None) -> NodeKnown:
        """Say how the node of this request is known."""
        if self.named is not None:
            return "proved"
        if site is None or self.node is None:
            return "unknown"
        return site.known if site.node == self.node else "predicted"

    def _length(self, response: WireResponse) -> int | None:
        if not self.stream:
            return response.came
        stated = response.headers.get("Content-Length", "")
        return int(stated) if stated.isdecimal() and len(stated) < 20 else None


def _read_a_little(response: requests.Response) -> None:
    """Take the start of a redirect's body for the whole: nobody wants more of it."""
    try:
        read = getattr(response.raw, "read1", response.raw.read)  # since urllib3 2.1
        start = read(_MOST_OF_A_REDIRECT, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError):
        start = b""
    response.raw.close()  # a connection that has the rest of it in the way is of no more use
    response._content = start
    response._content_consumed = True  # type: ignore[attr-defined]  # as .content sets it
