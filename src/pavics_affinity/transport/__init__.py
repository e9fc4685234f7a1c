"""The one place that opens connections."""

from .exchange import AffinityAdapter
from .session import DEFAULT_EMBED_LIMIT, AffinitySession, ambient_session, use_session
from .times import DEFAULT_DEADLINE, DEFAULT_PATIENCE, Seconds

__all__ = [
    "DEFAULT_DEADLINE",
    "DEFAULT_EMBED_LIMIT",
    "DEFAULT_PATIENCE",
    "AffinityAdapter",
    "AffinitySession",
    "Seconds",
    "ambient_session",
    "use_session",
]
