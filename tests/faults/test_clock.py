"""A clock that jumps, as after a suspend or a correction, changes no chain."""

from __future__ import annotations

import itertools
import time

import pytest

from faults.chains import CHAINS, workflow_for
from faults.site import faulty_site

DAY = 86_400.0


@pytest.mark.parametrize("client", ["WPS async", "OGC API async", "birdy"])
def test_a_clock_that_jumps_between_any_two_looks_at_it(client, tmp_path, monkeypatch):
    now, jumps = time.time, itertools.cycle((0.0, DAY, -DAY, 400 * DAY, -400 * DAY))
    with faulty_site() as site:
        site.line.begin()
        with workflow_for(client, site) as wf:
            monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
            content = CHAINS[client](site, wf, tmp_path)
            monkeypatch.undo()
            assert content.startswith(b"subset of grid node")
            assert [step.state for step in wf.steps] == ["succeeded", "succeeded"]
            assert wf.report()
            assert str(wf.record)
    assert len(site.runs) == 2
