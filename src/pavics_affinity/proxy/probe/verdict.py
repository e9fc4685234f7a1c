"""What the answers mean: one verdict in plain words, and the next step. Nothing is asked here."""

from __future__ import annotations

from dataclasses import dataclass, field

from .findings import Finding, find_all
from .judgement import Judgement
from .routes import of_places
from .seen import Seen, ServiceSeen
from .silence import of_evidence_missing, of_no_answer, of_no_telltale
from .telltale import Telltale, places, telltale_of


@dataclass(frozen=True)
class Verdict(Judgement):
    """What a probe comes to.

    Attributes
    ----------
    findings : tuple of Finding
        What was seen, point by point.
    ids : dict of str to dict of str to list of str
        By URL and machineid, the nodes that answered, or what stands for them;
        empty where nothing does.
    """

    findings: tuple[Finding, ...] = ()
    ids: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def judge(seen: Seen) -> Verdict:
    """Judge what was seen of a proxy.

    Parameters
    ----------
    seen : Seen
        As `ask` brought it.
    """
    telltale = telltale_of(seen.first, seen.evidence)
    found = (
        of_no_answer(seen.first)
        or of_evidence_missing(seen, telltale)
        or (of_no_telltale(seen.first) if telltale is None else of_places(seen, telltale))
    )
    ids = {} if telltale is None else {s.url: _placed(s, telltale) for s in seen.services}
    findings = find_all(seen, telltale)
    return Verdict(found.kind, found.works, found.words, found.next, findings, ids)


def _placed(service: ServiceSeen, telltale: Telltale) -> dict[str, list[str]]:
    return {key: places(telltale, answers) for key, answers in service.by_id.items()}
