"""Connections that mark a fault as one from before the request left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_MARK = "_pavics_affinity_while_connecting"


def came_while_connecting(fault: BaseException) -> bool:
    """Tell whether a fault arose before the first byte of a request could leave."""
    return getattr(fault, _MARK, False)


@contextlib.contextmanager
def _connecting() -> Iterator[None]:
    try:
        yield
    except Exception as fault:
        setattr(fault, _MARK, True)
        raise


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        with _connecting():
            super().connect()


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        # The handshake included: a fault of TLS may come before the request or after it.
        with _connecting():
            super().connect()


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


POOLS: dict[str, Any] = {"http": _PlainPool, "https": _TlsPool}
"""For `urllib3.PoolManager.pool_classes_by_scheme`."""
