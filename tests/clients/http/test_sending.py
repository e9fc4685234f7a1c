"""A document whose answer breaks off is asked for again, until the deadline."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.http.sending import fetch_document
from pavics_affinity.errors import ServiceUnreachable
from support.loopback import Answer, Server

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_it_is_asked_for_until_it_comes_whole(session):
    with Server() as server:
        session.pin.add_scope(server.url())
        answers = [Answer(200, b"x" * 100, cut=50)] * 5 + [Answer(200, b"whole")]
        server.answer = lambda seen: answers.pop(0)
        answer = fetch_document(session, server.url(), doing="it", headers={"Accept": "a/b"})
        assert answer.body == b"whole"
        assert [seen.all("Accept") for seen in server.seen] == [["a/b"]] * 6


def test_after_the_deadline_it_is_an_error_that_counts_the_attempts(session):
    with Server() as server:
        session.pin.add_scope(server.url())
        server.answer = lambda seen: Answer(200, b"x" * 100, cut=50)
        with session.deadline(0.3), pytest.raises(ServiceUnreachable, match="broke off") as caught:
            fetch_document(session, server.url(), doing="it")
        assert caught.value.attempts == len(server.seen) > 1
        assert f"{len(server.seen)} times" in str(caught.value)
