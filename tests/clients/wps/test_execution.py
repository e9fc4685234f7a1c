"""Waiting for the end of a process: prompt, bounded, and with the server's own words."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path

import owslib.wps
import pytest
from owslib.util import ServiceException

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.clients.http import waiting
from pavics_affinity.clients.references import single
from pavics_affinity.clients.wps.service import SYNC, WebProcessingService
from pavics_affinity.errors import (
    AffinityLost,
    AffinityWarning,
    BackendUnavailable,
    ExecutionFailed,
    ExecutionTimeout,
    InvalidRequest,
    MissingExtra,
    NotAService,
    OutOfScope,
    ServiceError,
    ServiceUnreachable,
    StatusLost,
    UnknownOutput,
)
from pavics_affinity.pin import Pin
from pavics_affinity.topology import FixedSource
from pavics_affinity.transport import AffinitySession
from support import wpsdocs
from support.loopback import Answer, Server

HELLO = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello"))


def script(service, *answers):
    """Give these answers to questions about the status, the last one for ever."""
    left = list(answers)
    service.status = lambda seen: left.pop(0) if len(left) > 1 else left[0]


def document(service, status, outputs="", **options):
    return service.xml(wpsdocs.response(status, outputs), **options)


@pytest.fixture
def execution(wps):
    return wps.execute("step", [])


# ---- the end ----


def test_wait_returns_the_execution_itself_once_it_has_succeeded(service, execution):
    script(service, document(service, wpsdocs.STARTED), service.xml(HELLO))
    assert execution.status == "ProcessAccepted"
    assert execution.wait() is execution
    assert execution.isSucceeded()
    assert execution.percentCompleted == 100
    assert len(service.asked("status")) == 2


def test_a_synchronous_execution_asks_nothing(wps, service):
    service.execute = lambda seen: service.xml(HELLO)
    assert wps.execute("step", [], mode=SYNC).wait().output("output").text() == "hello"
    assert service.asked("status") == []


def test_a_failure_is_raised_with_the_servers_words_code_and_locator(service, execution):
    script(service, document(service, wpsdocs.failed("no such level", "Invalid", "level")))
    with pytest.raises(ExecutionFailed, match=r"process 'step' failed.*no such level") as failed:
        execution.wait()
    assert (failed.value.code, failed.value.locator) == ("Invalid", "level")
    assert failed.value.machineid == "a1b2"
    assert failed.value.url == service.status_url
    assert isinstance(failed.value, ServiceException)
    assert execution.status == "Exception"  # as in OWSLib
    assert execution.isComplete()


def test_a_file_that_was_not_there_is_explained(service, execution):
    script(service, document(service, wpsdocs.failed("file not in the cache: x.nc")))
    with pytest.raises(ExecutionFailed, match="only on the node that ran the step") as failed:
        execution.wait()
    assert "a file of your own machine: the service cannot read it" in str(failed.value)


def test_an_exception_report_instead_of_the_status_is_a_failure(service, execution):
    script(service, service.xml(wpsdocs.report("died")))
    with pytest.raises(ExecutionFailed, match="died"):
        execution.wait()


def test_waiting_again_asks_nothing_and_raises_the_same(service, execution):
    script(service, document(service, wpsdocs.failed("no")))
    for _ in range(2):
        with pytest.raises(ExecutionFailed, match="no"):
            execution.wait()
    assert len(service.asked("status")) == 1


def test_errors_are_those_of_the_last_document(service, execution):
    script(service, document(service, wpsdocs.failed("no")))
    for _ in range(3):
        execution.checkStatus()
    assert [error.text for error in execution.errors] == ["no"]


# ---- time ----


@pytest.mark.parametrize("timeout", [0.3, timedelta(seconds=0.3)])
def test_a_deadline_ends_the_wait_and_says_how_to_continue(service, execution, timeout):
    script(service, document(service, wpsdocs.STARTED))  # and never more
    begun = time.monotonic()
    with pytest.raises(ExecutionTimeout, match=r"42 %.*attach") as expired:
        execution.wait(timeout)
    assert time.monotonic() - begun >= 0.3
    assert isinstance(expired.value, TimeoutError)
    script(service, service.xml(HELLO))
    assert execution.wait(5).isSucceeded()


def test_a_deadline_of_0_asks_once(service, execution):
    script(service, document(service, wpsdocs.STARTED))
    with pytest.raises(ExecutionTimeout):
        execution.wait(0)
    assert len(service.asked("status")) == 1


def test_an_invalid_deadline_is_refused(execution):
    with pytest.raises(InvalidRequest, match="timeout is 'soon'"):
        execution.wait("soon")


def test_waiting_costs_next_to_no_processor_time(service, execution):
    script(service, document(service, wpsdocs.STARTED))
    used = time.thread_time()
    for _ in range(5):
        execution.checkStatus(sleepSecs=0)
    each, used = (time.thread_time() - used) / 5, time.thread_time()
    with pytest.raises(ExecutionTimeout):
        execution.wait(2)
    asked = len(service.asked("status")) - 5
    assert asked < 15
    # No more than what the questions cost: nothing is done between them.
    assert time.thread_time() - used < 5 * each * (asked + 1)


def test_a_loop_over_check_status_without_sleeping_does_not_spin(service, execution):
    script(service, document(service, wpsdocs.STARTED))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        execution.checkStatus(sleepSecs=0)
    assert len(service.asked("status")) <= 21


def test_ctrl_c_ends_the_wait(service, execution):
    script(service, document(service, wpsdocs.STARTED))
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt) as stopped:
            execution.wait(30)
    finally:
        timer.join()
    [note] = stopped.value.__notes__
    said, line = note.split("\n")
    assert said.startswith("process 'step' continues at the server")
    # The line runs as it stands.
    script(service, service.xml(HELLO))
    again = eval(line, {"Workflow": Workflow})
    assert again.isSucceeded()


def test_a_failure_says_whether_the_node_is_proved_or_only_predicted(service, execution):
    script(service, document(service, wpsdocs.failed("no")))
    with pytest.raises(ExecutionFailed, match=r"process 'step' failed: no"):
        execution.wait()
    site = execution.session.pin
    for known, words in (
        ("proved", "failed on node 'node2': no"),
        ("predicted", r"failed on node 'node2' \(predicted by the topology, not proved\): no"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(site), "node", property(lambda _: "node2"))
            patch.setattr(type(site), "node_known", property(lambda _, known=known: known))
            with pytest.raises(ExecutionFailed, match=words):
                execution.wait()


@pytest.mark.parametrize("word", ["ProcessQueued", "Succeeded", "processsucceeded", "Unknown"])
def test_a_state_that_wps_does_not_have_is_an_error_that_quotes_it_and_no_wait(
    service, wps, execution, word
):
    answer = document(service, f"<wps:{word}>x</wps:{word}>")
    script(service, answer)
    with pytest.raises(NotAService, match=f"status is '{word}'") as caught:
        execution.wait()
    assert "Nothing was executed" not in str(caught.value)
    assert len(service.asked("status")) == 1
    service.execute = lambda seen: service.xml(
        wpsdocs.response(f"<wps:{word}/>", location=service.status_url)
    )
    with pytest.raises(NotAService, match=f"status is '{word}'.*{service.status_url}"):
        wps.execute("step", [])


def test_a_wait_that_is_over_says_how_long_the_status_has_not_changed(service, execution):
    script(service, document(service, wpsdocs.STARTED))
    with pytest.raises(ExecutionTimeout, match=r"ProcessStarted, 42 %, unchanged for 0:00:0\d"):
        execution.wait(0.3)


def test_a_status_that_does_not_change_is_warned_of_and_waited_for(
    no_waiting, service, execution, monkeypatch
):
    monkeypatch.setattr(waiting, "QUIET", 0.2)
    script(service, *[document(service, wpsdocs.STARTED)] * 15, service.xml(HELLO))
    with pytest.warns(AffinityWarning, match="process 'step' is unchanged for"):
        assert execution.wait(60).isSucceeded()


# ---- a status document that is not there, or not whole ----


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    "trouble",
    [
        lambda service: service.xml(b""),
        lambda service: service.xml(HELLO[:200]),
        lambda service: service.xml(HELLO, cut=200),
        lambda service: service.xml(wpsdocs.response("")),
        lambda service: Answer(404),
        lambda service: Answer(500),
    ],
    ids=["empty", "half-written", "cut", "no status", "404", "500"],
)
def test_a_document_that_is_not_whole_is_not_yet(service, execution, trouble):
    script(service, trouble(service), trouble(service), service.xml(HELLO))
    assert execution.wait(10).isSucceeded()
    assert len(service.asked("status")) == 3


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_document_that_stays_missing_is_lost_and_its_node_named_as_the_cause(
    no_waiting, service, execution, status
):
    script(service, Answer(status))
    begun = no_waiting.now  # and it would be asked for without end
    with pytest.raises(StatusLost, match=rf"is gone.*HTTP {status}.*node") as lost:
        execution.wait()
    assert no_waiting.now - begun > 2.5
    assert lost.value.attempts > 1
    assert lost.value.url == service.status_url


def test_a_document_that_stays_unreadable_is_lost(no_waiting, service, execution):
    script(service, Answer(200, b"<html><title>Maintenance</title>"))
    with pytest.raises(StatusLost, match=r"cannot be read.*'Maintenance'"):
        execution.wait()


@pytest.mark.usefixtures("no_waiting")
def test_a_deadline_holds_also_while_the_document_is_missing(service, execution):
    script(service, Answer(404))
    with pytest.raises(ExecutionTimeout):
        execution.wait(0.5)


def test_a_status_that_wants_credentials_says_so(service, execution):
    script(service, Answer(403))
    with pytest.raises(ServiceError, match="pass auth=") as refused:
        execution.wait()
    assert not isinstance(refused.value, StatusLost)


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_is_gone_is_an_error_and_no_endless_loop(execution, service, session):
    script(service, Answer(cut=-1))
    service.stop()
    gone = (ServiceUnreachable, BackendUnavailable)
    for ask in (execution.wait, execution.checkStatus):
        with session.deadline(0.3), pytest.raises(gone):
            ask()


def test_a_server_that_trickles_cannot_hold_the_wait_beyond_its_deadline(service, execution):
    """A byte every 50 ms, for 10 s and more, keeps every read time-out from striking."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop, at_the_end = threading.Event(), threading.Event()

    def trickle():
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                for _ in range(200):
                    if stop.wait(0.05):
                        return
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        break
                else:
                    at_the_end.set()

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        execution.statusLocation = f"http://127.0.0.1:{listener.getsockname()[1]}/outputs/1.xml"
        with pytest.raises(ExecutionTimeout):
            execution.wait(1)
        assert not at_the_end.is_set()
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


# ---- where it is ----


def test_a_relative_status_location_is_resolved(wps, service):
    service.execute = lambda seen: service.xml(
        wpsdocs.response(wpsdocs.ACCEPTED, location="/outputs/1234.xml")
    )
    assert wps.execute("step", []).wait().isSucceeded()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/x", "http://[::1/x"])
def test_a_status_location_that_is_not_a_web_address_is_not_asked(wps, service, location):
    service.execute = lambda seen: service.xml(
        wpsdocs.response(wpsdocs.ACCEPTED, location=location)
    )
    with pytest.raises(OutOfScope, match="status document"):
        wps.execute("step", []).wait()


def test_a_status_location_on_another_host_is_asked_without_the_machineid(wps, service):
    with Server("127.0.0.2") as elsewhere:
        elsewhere.answer = lambda seen: service.xml(HELLO)
        service.execute = lambda seen: service.xml(
            wpsdocs.response(wpsdocs.ACCEPTED, location=elsewhere.url("/1.xml"))
        )
        with pytest.warns(AffinityWarning, match="requested without the machineid"):
            assert wps.execute("step", []).wait().isSucceeded()
        assert elsewhere.seen[0].all("machineid") == []


def test_an_accepted_execution_without_status_location_says_what_to_do(wps, service):
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.ACCEPTED))
    with pytest.raises(ServiceError, match="mode=SYNC"):
        wps.execute("step", []).wait()


def test_attach_gives_an_execution_again(wps, service):
    again = wps.attach(service.status_url)
    assert again.statusLocation == service.status_url
    assert again.output("output").text() == "hello"
    assert len(service.asked("status")) == 1


def test_attach_to_a_running_one_returns_at_once_and_can_wait(wps, service):
    script(service, document(service, wpsdocs.STARTED), service.xml(HELLO))
    again = wps.attach(service.status_url)
    assert (again.status, again.percentCompleted) == ("ProcessStarted", 42)
    assert again.wait().isSucceeded()


@pytest.mark.parametrize("url", ["file:///etc/passwd", ""])
def test_attach_refuses_a_location_that_is_not_a_web_address(wps, url):
    with pytest.raises((OutOfScope, ServiceError)):
        wps.attach(url)


def test_a_status_location_or_output_that_names_another_node_is_affinity_lost():
    with Server() as proxy, Server("127.0.0.2") as one, Server("127.0.0.3") as two:
        backends = [Backend("node1", one.origin[7:]), Backend("node2", two.origin[7:])]
        topology = Topology(
            nodes=[Node("node1"), Node("node2")],
            services=[Service("step", proxy.url(), path="/wps", backends=backends)],
        )
        pin = Pin("a1b2", given=True, node="node1", sources=[FixedSource(topology)])
        wps = WebProcessingService(proxy.url(), skip_caps=True, session=AffinitySession(pin))
        located = iter([one.url("/wps/1.xml"), two.url("/wps/1.xml")])

        def execute(seen):
            accepted = wpsdocs.response(wpsdocs.ACCEPTED, location=next(located))
            return Answer(200, accepted, {"Content-Type": "text/xml"})

        proxy.answer = execute
        running = wps.execute(None, [], request="<Execute/>")
        with pytest.raises(AffinityLost, match="node2"):
            wps.execute(None, [], request="<Execute/>")

        done = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(two.url("/outputs/x")))
        one.answer = proxy.answer = lambda seen: Answer(200, done)
        with pytest.raises(AffinityLost, match="node2"):
            running.wait()


# ---- OWSLib's ways ----


def test_monitor_execution_works(service, execution, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script(service, document(service, wpsdocs.STARTED), service.xml(HELLO))
    owslib.wps.monitorExecution(execution, sleepSecs=0.1, download=True, filepath="x.txt")
    assert (tmp_path / "x.txt").read_text() == "hello"


def test_check_status_sleeps_only_while_the_process_runs(service, execution):
    execution.checkStatus(sleepSecs=3600)  # it does not sleep
    assert execution.isSucceeded()


def test_check_status_of_a_document_at_hand_neither_asks_nor_sleeps(service, execution):
    execution.checkStatus(response=wpsdocs.response(wpsdocs.STARTED), sleepSecs=3600)
    assert execution.percentCompleted == 42
    assert service.asked("status") == []


def test_check_status_takes_another_url(service, execution):
    execution.checkStatus(url=service.status_url + "?again", sleepSecs=0)
    assert service.seen[-1].path == "/outputs/1234.xml?again"
    assert execution.statusLocation == service.status_url + "?again"


def test_get_output_writes_the_first_or_the_named_output(wps, service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = wpsdocs.embedded("one", "a") + wpsdocs.reference(service.url("/outputs/b.txt"), "b")
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, outputs))
    service.files = lambda seen: Answer(200, b"two")
    execution = wps.execute("step", [])
    execution.getOutput()
    execution.getOutput("named.txt", "b")
    execution.getOutput(identifier="b")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "wps.out": "one",
        "named.txt": "two",
        "b.txt": "two",
    }
    with pytest.raises(UnknownOutput, match="there are a, b"):
        execution.getOutput(identifier="nothing")


def test_an_output_is_given_by_name_once_there_is_one(service, execution):
    with pytest.raises(InvalidRequest, match=r"call \.wait"):
        execution.output("output")
    execution.wait()
    assert execution.output("output").text() == "hello"
    with pytest.raises(UnknownOutput, match="did you mean 'output'"):
        execution.output("outptu")


def test_the_output_of_a_failure_is_the_failure(service, execution):
    script(service, document(service, wpsdocs.failed("no")))
    execution.checkStatus()
    with pytest.raises(ExecutionFailed):
        execution.output("output")
    with pytest.raises(ExecutionFailed):
        execution.getOutput()


# ---- progress ----


def test_progress_is_shown_when_asked_for(service, execution, capsys):
    script(service, document(service, wpsdocs.STARTED), service.xml(HELLO))
    execution.wait(progress=True)
    shown = capsys.readouterr().err
    assert "step" in shown
    assert "100%" in shown
    assert "half way" in shown or "done" in shown


def test_no_progress_is_shown_otherwise(service, execution, capsys):
    execution.wait()
    assert capsys.readouterr().err == ""


def test_progress_without_tqdm_names_the_extra(execution, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with pytest.raises(MissingExtra, match="pip install"):
        execution.wait(progress=True)


# ---- birdy ----


def test_birdy_can_extend_an_execution(execution):
    outputs = pytest.importorskip("birdy.client.outputs")
    utils = pytest.importorskip("birdy.client.utils")
    execution.wait()
    utils.extend_instance(execution, outputs.WPSResult)
    execution.attach(wps_outputs={"output": execution.processOutputs[0]})
    Path(execution._path).rmdir()
    assert execution.get().output.value == "hello"
    assert execution.wait() is execution


# ---- documents that lack something ----


@pytest.mark.parametrize(
    "document",
    [
        wpsdocs.capabilities("step"),
        wpsdocs.response("", ""),
        wpsdocs.response("<wps:Status/>", ""),
        b"<x:a xmlns:x='y'/>",
    ],
)
def test_a_response_without_a_status_is_not_a_response(wps, document):
    with pytest.raises(NotAService, match="not a valid WPS response"):
        wps.execute("step", [], response=document)


def test_an_output_without_a_name_can_be_passed_on(wps):
    nameless = wpsdocs.embedded("hello").replace("Identifier>", "Other>")
    execution = wps.execute("step", [], response=wpsdocs.response(wpsdocs.SUCCEEDED, nameless))
    (output,) = execution.processOutputs
    assert (output.identifier, output.text()) == (None, "hello")
    assert single(execution, "a") is output
