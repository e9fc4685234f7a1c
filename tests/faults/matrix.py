"""Each kind of fault at each request of each client's chain, and the outcome of the chain."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.chains import CHAINS, workflow_for
from faults.kinds import KINDS, RIGHT, Kind
from faults.site import Site
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import AffinityError, message_of

NOTHING_RAN = re.compile(r"(?i)nothing (was executed|ran)\b")


UNREAD = "a request that was not read"


@dataclass
class Case:
    """One fault at one request of one client's chain."""

    client: str
    kind: Kind
    number: int
    request: str
    outcome: str = ""
    message: str = ""
    wrong: list[str] = field(default_factory=list)

    @property
    def is_execute(self) -> bool:
        return self.request.startswith("POST")

    @property
    def allowed(self) -> frozenset[str]:
        if self.request == UNREAD:
            return self.kind.execute | self.kind.repeatable
        return self.kind.execute if self.is_execute else self.kind.repeatable

    def __str__(self) -> str:
        return (
            f"{self.client}, request {self.number} ({self.request}), {self.kind.fault.name}: "
            f"{self.outcome} {'; '.join(self.wrong)} {self.message[:300]}"
        )


def requests_of(site: Site, client: str) -> list[str]:
    """Run a client's chain without a fault; return its requests."""
    site.line.begin()
    case = _run(site, Case(client, KINDS[0], -1, ""))
    assert case.outcome == RIGHT, case
    assert not case.wrong, case
    return list(site.line.seen)


def cases(site: Site, clients: list[str] | None = None, *, every: int = 1) -> Iterator[Case]:
    """Run the whole matrix, or that of some clients, or one case in `every`."""
    for client in clients or CHAINS:
        requests = requests_of(site, client)
        pairs = itertools.product(KINDS, enumerate(requests))
        for kind, (number, request) in itertools.islice(pairs, 0, None, every):
            site.line.begin(kind.fault, number)
            yield _run(site, Case(client, kind, number, request))


def _run(site: Site, case: Case) -> Case:
    FINDER.forget()
    site.clear()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with workflow_for(case.client, site, silent=case.kind.is_silent) as wf:
            try:
                content = CHAINS[case.client](site, wf, directory)
            except Exception as error:  # noqa: BLE001  # a foreign one is a finding
                case.outcome, case.message = type(error).__name__, message_of(error)
                if not isinstance(error, AffinityError):
                    case.wrong.append("an error that is not ours")
            else:
                case.outcome = RIGHT
                _check_content(site, case, content)
            machineid = wf.machineid
        _check_files(case, directory)
    _check_runs(site, case, machineid)
    if case.number >= 0:
        # Not the one of the quiet run: a question more or less shifts those that follow. One whose
        # connection was reset before it was read is in no list.
        met = site.line.seen[case.number : case.number + 1]
        case.request = met[0] if met else UNREAD
    if case.number >= 0 and case.outcome not in case.allowed:
        case.wrong.append(f"expected {' or '.join(sorted(case.allowed))}")
    return case


def _check_content(site: Site, case: Case, content: bytes) -> None:
    nodes = {run.node for run in site.runs}
    right = re.fullmatch(rb"subset of grid (node\d)-\d+\n?", content)
    if right is None:
        case.wrong.append(f"wrong content: {content[:80]!r}")
    elif nodes != {right[1].decode()}:
        case.wrong.append(f"executed on {nodes}")


def _check_files(case: Case, directory: Path) -> None:
    for path in directory.iterdir():
        if not re.fullmatch(rb"subset of grid node\d-\d+\n", path.read_bytes()):
            case.wrong.append(f"left {path.name} of {path.stat().st_size} bytes")


def _check_runs(site: Site, case: Case, machineid: str) -> None:
    runs = Counter(run.process for run in site.runs)
    if any(run.machineid != machineid for run in site.runs):
        case.wrong.append("an Execute without the workflow's machineid")
    if any(count > 1 for count in runs.values()):
        case.wrong.append(f"executed twice: {dict(runs)}")
    if len({run.node for run in site.runs}) > 1:
        case.wrong.append("executed on two nodes")
    if case.outcome == RIGHT and runs != {"fetch": 1, "subset": 1}:
        case.wrong.append(f"executed: {dict(runs)}")
    posts = sum(line.startswith("POST") for line in site.line.seen)
    if NOTHING_RAN.search(case.message) and posts and sum(runs.values()) >= posts:
        case.wrong.append("says that nothing was executed")
