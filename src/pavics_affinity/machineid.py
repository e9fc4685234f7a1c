"""Machineids: mint a random one, derive a stable one, validate a given one."""

from __future__ import annotations

import os
import secrets
import unicodedata
from pathlib import PurePath
from typing import Protocol

import mmh3

from .errors import InvalidMachineId, SteeringImpossible, TopologyError
from .protocol import LONGEST_MACHINEID, is_machineid

_MINT_LIMIT = 100_000


class Places(Protocol):
    """The part of a topology that minting needs: the node that a bare key lands on."""

    def first_node(self, service: str | None, key: str) -> str:
        """Return the name of the node that the service's proxy, or this package's hash, chooses."""

    def can_place_on(self, service: str | None, node: str) -> None:
        """Raise if no key can land on the node."""


def mint_machineid(
    *, node: str | None = None, topology: Places | None = None, service: str | None = None
) -> str:
    """Make a new machineid of 128 random bits.

    Parameters
    ----------
    node : str, optional
        Name of a node. The bare id lands there, so other tools that send the same id
        reach the same node.
    topology : Topology, optional
        The site; required with `node`.
    service : str, optional
        Name of the service whose hash decides; by default the topology's first.

    Returns
    -------
    str
        32 hexadecimal digits, which reveal neither host nor user.

    Raises
    ------
    UnknownNode, UnknownService
        The topology has no such node or service.
    SteeringImpossible
        No id lands on that node, for instance because it is marked down.
    PlacementUndetermined
        The decisions of the service's proxy cannot be predicted.
    TopologyError
        `node` without `topology`.
    """
    if node is None:
        return secrets.token_hex(16)
    if topology is None:
        raise TopologyError(
            f"minting for node {node!r} needs the topology of its site; pass topology=", node=node
        )
    topology.can_place_on(service, node)
    for _ in range(_MINT_LIMIT):
        machineid = secrets.token_hex(16)
        if topology.first_node(service, machineid) == node:
            return machineid
    raise SteeringImpossible(
        f"none of {_MINT_LIMIT:,} new machineids landed on node {node!r}; its weight is too small "
        "compared with the others, or it accepts no requests. Choose another node",
        node=node,
    )


def derive_machineid(*parts: str | bytes | int | os.PathLike[str]) -> str:
    """Derive a machineid from names: the same parts give the same id everywhere.

    The id is the same on every platform and Python, so a user, a project or a file can have
    its own machineid, which does not need to be stored. **It is not a secret**: anyone who
    knows the parts knows the id.

    Parameters
    ----------
    *parts : str, bytes, int or path
        At least one, not all empty. Text is converted to Unicode's NFC form, because file
        systems differ there, and paths to forward slashes. ``("a", "bc")`` and
        ``("ab", "c")`` give different ids.

    Returns
    -------
    str
        32 hexadecimal digits: MurmurHash3, x64, 128 bits, seed 0, over the
        parts in UTF-8, each preceded by its length in bytes and a colon.

    Raises
    ------
    InvalidMachineId
        There are no parts, all are empty, or one has another type.

    Examples
    --------
    >>> derive_machineid("alice", "heat-waves")
    'efabdf06d4b8154ee79b08448d86ab5e'
    """
    encoded = [_as_bytes(part) for part in parts]
    if not any(encoded):
        raise InvalidMachineId(
            f"cannot derive a machineid from {parts!r}: expected at least one part that is not "
            "empty, such as a user or project name"
        )
    data = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return format(mmh3.hash128(data, seed=0, x64arch=True, signed=False), "032x")


def _as_bytes(part: str | bytes | int | os.PathLike[str]) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return b"%d" % part
    if isinstance(part, PurePath):
        part = part.as_posix()
    elif isinstance(part, os.PathLike):
        part = os.fsdecode(part).replace(os.sep, "/")
    if isinstance(part, str):
        return unicodedata.normalize("NFC", part).encode("utf-8", "surrogatepass")
    raise InvalidMachineId(
        f"cannot derive a machineid from {part!r} of type {type(part).__name__}: "
        "expected str, bytes, int or a path"
    )


def validate_machineid(value: object) -> str:
    """Return the value, text or ASCII bytes, if it can be a machineid.

    Raises
    ------
    InvalidMachineId
        It does not consist of 1 to 200 of the characters ``A-Z a-z 0-9 - . _``: RFC 3986's
        unreserved characters without ``~``, which marks steering.
    """
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str) and is_machineid(value):
        return value
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
        raise InvalidMachineId(
            f"{shown} cannot be a machineid, because it is a URL. Write Workflow().wps(url) for a "
            "client of a WPS at this URL, or .birdy(url) or .processes(url)"
        )
    raise InvalidMachineId(
        f"{shown} cannot be a machineid: expected 1 to {LONGEST_MACHINEID} characters of "
        "A-Z a-z 0-9 - . _ ; use mint_machineid() for a new one or "
        "derive_machineid('user', 'project') for a stable one"
    )
