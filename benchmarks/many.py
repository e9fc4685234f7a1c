"""Many workflows at once in threads, beside as many bare Sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import requests

from pavics_affinity import Workflow

from .measure import in_turns, ratios
from .proxy import NODES, proxy
from .rows import Row, main, row

AT_ONCE = 200
REQUESTS = 10  # of each, in a round


def rows(quick: bool) -> list[Row]:
    """Measure the requests per second of 200 workflows, all threads busy."""
    with proxy() as site, ExitStack() as opened:
        url = f"{site.url}?service=WPS&request=Ping"
        workflows = [opened.enter_context(Workflow(topology=site.topology)) for _ in range(AT_ONCE)]
        sessions = [opened.enter_context(requests.Session()) for _ in range(AT_ONCE)]
        for number, session in enumerate(sessions):
            session.headers["machineid"] = f"{workflows[number].machineid}~{NODES[0]}"
        pool = opened.enter_context(ThreadPoolExecutor(AT_ONCE))

        def all_at_once(gets: list[Callable[[str], requests.Response]]) -> Callable[[], None]:
            def run() -> None:
                together = threading.Barrier(AT_ONCE)

                def one(get: Callable[[str], requests.Response]) -> None:
                    together.wait()
                    for _ in range(REQUESTS):
                        assert get(url).status_code == 200

                list(pool.map(one, gets))

            return run

        took = in_turns(
            {
                "ours": all_at_once([workflow.session.get for workflow in workflows]),
                "bare": all_at_once([session.get for session in sessions]),
            },
            2 if quick else 20,
        )
    rates = ratios(took["bare"], took["ours"])
    per_second = [AT_ONCE * REQUESTS / own for own in took["ours"]]
    what = f"{AT_ONCE} workflows at once in threads, requests per second"
    return [
        row(what, f"{AT_ONCE} bare requests.Sessions", rates, ">=", 0.9),
        row("the same, by itself", "-", per_second, unit="per s"),
    ]


if __name__ == "__main__":
    main(rows, __doc__)
