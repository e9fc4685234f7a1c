"""Steering: the routing key that makes a proxy choose a node."""

from __future__ import annotations

from math import ceil, log

from ..errors import SteeringImpossible
from ..protocol import DEFAULT_HEADER, check_bare
from .base import Placement
from .keys import Part, evaluate, header_variable, is_of_the_uri, parse_hash

ODDS_OF_FAILURE = 1e-12
MOST_TRIES = 1 << 20


def steer(
    placement: Placement,
    machineid: str,
    target: str,
    *,
    directive: str = "hash $http_machineid;",
    host: str | None = None,
    header: str = DEFAULT_HEADER,
) -> str:
    """Return the routing key with the least suffix that a placement sends to a backend.

    The keys ``machineid``, ``machineid~1``, ``machineid~2``, ... are tried in turn. The
    probability that a key goes to a backend is the backend's share s, so the search takes
    1 / s tries on average. It ends after ``ceil(ln(1e-12) / ln(1 - s))`` tries, and at
    2**20. For s above 3e-5, one search in 10**12 misses a backend that a key could reach.

    Parameters
    ----------
    placement : Placement
        The placement of the proxy.
    machineid : str
        The workflow's id, without suffix.
    target : str
        The backend, as in the placement's ``addresses``.
    directive : str, optional
        The proxy's ``hash`` directive, if the key holds more than the machineid.
    host : str, optional
        The ``Host`` header of the requests, if the key holds it.
    header : str, default: "machineid"
        Name of the header that carries the routing key.

    Returns
    -------
    str
        The routing key: the bare machineid if it goes to the backend.

    Raises
    ------
    SteeringImpossible
        No key goes to the backend: it is down, a backup or unknown, or the key holds the
        request's URI.
    PlacementUndetermined
        The key holds a variable whose value is not known.
    InvalidMachineId
        The machineid is empty or has a suffix already.
    """
    check_bare(machineid)
    head, tail = _around_the_id(directive, header, host)
    obstacle = placement.obstacle(target)
    tries = 0 if obstacle is not None else _tries(placement.share(target))
    if obstacle is not None:
        # The backend's only keys may be those of servers that are down.
        passed_on = 1 - sum(map(placement.share, placement.addresses))
        if target in placement.addresses and passed_on > ODDS_OF_FAILURE:
            tries = _tries(passed_on / len(placement.addresses))
    number = placement.least_number(head + machineid, tail, target, tries)
    if number is None:
        raise SteeringImpossible(
            f"no routing key of machineid {machineid!r} leads to {target!r}: "
            f"{obstacle or f'none of {tries:,} did'}; choose another node, or do not name one",
            machineid=machineid,
            node=target,
        )
    return machineid if number == 0 else f"{machineid}~{number}"


def _tries(share: float) -> int:
    if share >= 1:
        return 1
    return min(MOST_TRIES, ceil(log(ODDS_OF_FAILURE) / log(1 - share)))


def _around_the_id(directive: str, header: str, host: str | None) -> tuple[str, str]:
    parts = parse_hash(directive).parts
    mine = Part(header_variable(header), True)
    varying = [f"${part.text}" for part in parts if is_of_the_uri(part)]
    if varying:
        raise SteeringImpossible(
            f"the key of {directive!r} holds {', '.join(varying)}: each URI has its own node, "
            f"and no suffix fits all; hash ${mine.text} alone on the proxy"
        )
    if parts.count(mine) != 1:
        raise SteeringImpossible(
            f"the key of {directive!r} holds ${mine.text} {parts.count(mine)} times; "
            "only a key that holds it "
            "once can be steered. Write it once in the proxy's hash directive"
        )
    i = parts.index(mine)
    head, tail = (
        "".join(evaluate(part, None, host) for part in side) for side in (parts[:i], parts[i + 1 :])
    )
    return head, tail
