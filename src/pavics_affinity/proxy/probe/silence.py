"""What it means that answers are missing, or tell nothing of their nodes."""

from __future__ import annotations

from .findings import dead, server_of
from .judgement import SINGLE_NODE, Judgement
from .seen import Seen, ServiceSeen
from .telltale import Telltale


def of_no_answer(first: ServiceSeen) -> Judgement | None:
    """Judge a proxy of which no answer is a service's; None if there are some."""
    answers = list(first.answers())
    came = [answer for answer in answers if answer.status is not None]
    if not came:
        return Judgement(
            "down",
            False,
            f"nothing answers at {first.url}: {answers[0].failure}",
            _next_when_down(answers[0].failure),
        )
    statuses = {answer.status for answer in came}
    if all(answer.is_gateway_error for answer in came):
        named = first.by_node
        if not named or len(dead(first)) == len(named):
            return Judgement(
                "nodes-down",
                False,
                f"the proxy answers, and no node behind it does ({_joined(statuses)})",
                "start the service on its nodes; if it runs, compare its port with the proxy's "
                "server lines",
            )
    if all(answer.status is not None and 300 <= answer.status < 400 for answer in came):
        target = came[0].headers.get("location", "")
        shown = "".join(c for c in target if c.isascii() and c.isprintable())[:200]
        return Judgement(
            "no-service",
            False,
            f"{first.url} only leads on, to {shown!r}",
            "probe that URL, and give it to the users: a redirected Execute is not followed",
        )
    return None


def _next_when_down(failure: str) -> str:
    if "TLS" in failure:
        return (
            "give the proxy a certificate that clients trust, or tell this one of your authority "
            "(REQUESTS_CA_BUNDLE=file)"
        )
    if "HTTP" in failure or "head" in failure:
        return "something else than a web server listens there; look at the port"
    if "name" in failure:
        return "look at the host's name, and whether this machine's DNS knows it"
    return "start the proxy, or look at host and port: nginx -t says whether its files will do"


def of_evidence_missing(seen: Seen, telltale: Telltale | None) -> Judgement | None:
    """Judge a proxy whose answers lack the evidence that it promises; None if they have it."""
    first = seen.first
    published = first.topology
    if published is None or published.evidence is None or len(published.nodes) < 2:
        return None
    if telltale is not None and telltale.name == published.evidence.lower():
        return None
    return Judgement(
        "no-evidence",
        False,
        f"the proxy promises the response header {published.evidence}, and no answer has it: "
        "clients take that for another node's answer",
        "look at what stands in front of nginx and takes the header away; then probe again",
    )


def of_no_telltale(first: ServiceSeen) -> Judgement:
    """Judge a proxy whose answers tell nothing of their nodes."""
    came = [answer for answer in first.answers() if answer.status is not None]
    published = first.topology
    if published is not None and len(published.nodes) == 1:
        return SINGLE_NODE
    if all(answer.status in {401, 403} for answer in came):
        return Judgement(
            "cannot-tell",
            None,
            f"{first.url} asks for credentials, and a probe sends none; what it refuses tells "
            "nothing of its nodes",
            "probe a service that anybody may see, or from a host that may; a rendered proxy names "
            "the node in refusals, too",
        )
    if all(answer.status != 200 for answer in came):
        return Judgement(
            "no-service",
            False,
            f"{first.url} answers {_joined({a.status for a in came})}, and not as a service",
            "look at the URL: scheme, port and path should be those that users give, as in .../wps",
        )
    if not any("nginx" in answer.headers.get("server", "").lower() for answer in came):
        return Judgement(
            "not-nginx",
            False,
            f"no nginx answers here, but {server_of(came[0])}; nothing in its answers tells one "
            "node from another",
            "give the proxy's URL, not a node's own; a proxy of another kind needs a topology "
            "and its nodes' addresses (see the manual on the direct route)",
        )
    return Judgement(
        "cannot-tell",
        None,
        "nginx answers, and nothing in the answers tells which node gave them: this may be the "
        "manual's plain proxy, or one without a hash",
        "look into its files (pavics-affinity check), or probe the URL of an output, which only "
        "one node has; to be able to tell, render the proxy (pavics-affinity render)",
    )


def _joined(statuses: set[int | None]) -> str:
    return ", ".join(str(status) for status in sorted(s for s in statuses if s is not None))
