"""Progress in a notebook: seen by a real kernel, and ended by its interrupt."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable

import nbformat
import pytest
from nbclient import NotebookClient

from pavics_affinity.display import progress
from pavics_affinity.display.progress import NotebookBar
from support import wpsdocs
from support.scriptedwps import ScriptedWPS

PREPARE = """
from pavics_affinity import Workflow
wf = Workflow()
wps = wf.wps({url!r})
execution = wps.execute("sleep", [("delay", "{delay}")])
"""


@pytest.fixture
def in_kernel(cluster):
    """Run cells in a separate kernel, which can be interrupted."""
    notebook = nbformat.v4.new_notebook()
    client = NotebookClient(notebook, timeout=60, iopub_timeout=60, allow_errors=True)
    url = cluster.url("flyingpigeon")

    def run(source: str, *, interrupt_when: Callable[[], bool] | None = None):
        cell = nbformat.v4.new_code_cell(source.replace("URL", repr(url)))
        notebook.cells.append(cell)
        thread = threading.Thread(target=interrupt, args=(interrupt_when,))
        if interrupt_when is not None:
            thread.start()
        client.execute_cell(cell, len(notebook.cells) - 1)
        if interrupt_when is not None:
            thread.join()
        return cell.outputs

    def interrupt(when: Callable[[], bool]) -> None:
        while not when():
            time.sleep(0.02)
        os.kill(pid, signal.SIGINT)

    with client.setup_kernel():
        [out] = run("import os; print(os.getpid())")
        pid = int(out.text)
        yield run


def start(delay: float) -> str:
    return PREPARE.replace("{url!r}", "URL").replace("{delay}", str(delay))


def pages(outputs) -> list[str]:
    return [o["data"]["text/html"] for o in outputs if o.output_type == "display_data"]


def test_a_notebook_shows_progress_and_keeps_one_line_of_it(in_kernel):
    assert not in_kernel(start(2))
    [page] = pages(in_kernel("execution.wait();"))
    shown = re.sub("<[^>]*>", "", page.partition("</style>")[2])
    assert re.fullmatch(r"✓ process 'sleep', \d\.\d s", shown.replace("&#x27;", "'"))


def test_what_is_quickly_done_shows_no_bar(in_kernel):
    in_kernel(start(0.05))
    assert pages(in_kernel("execution.wait();")) == []


def test_ctrl_c_ends_the_wait_at_once_and_the_wait_can_be_repeated(in_kernel):
    with ScriptedWPS() as service:
        succeeded = service.status
        service.status = lambda seen: service.xml(wpsdocs.response(wpsdocs.STARTED))  # for ever
        in_kernel(
            f"from pavics_affinity import Workflow\nwf = Workflow()\n"
            f"execution = wf.wps({service.url()!r}).execute('step', [])"
        )
        outputs = in_kernel(
            "execution.wait()", interrupt_when=lambda: len(service.asked("status")) > 12
        )
        assert [o.ename for o in outputs if o.output_type == "error"] == ["KeyboardInterrupt"]
        [page] = pages(outputs)
        assert "KeyboardInterrupt at" in page
        service.status = succeeded
        again = in_kernel("print(execution.wait(progress=False).status)")
        assert "".join(o.text for o in again) == "ProcessSucceeded\n"  # in one piece or several


def test_chains_in_threads_show_no_bars(in_kernel):
    in_kernel(start(1.5))
    outputs = in_kernel(
        "import threading\n"
        "thread = threading.Thread(target=execution.wait)\n"
        "thread.start(); thread.join()\n"
        "print(execution.status)"
    )
    assert [o.output_type for o in outputs] == ["stream"]


# ---- the bar itself ----


class Page:
    """Stands in for the notebook: takes what is displayed."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, page, display_id):
        self.update(page)
        return self

    def update(self, page):
        self.shown.append(page.data.partition("</style>")[2])


@pytest.fixture
def page(monkeypatch):
    import IPython.display

    page = Page()
    monkeypatch.setattr(IPython.display, "display", page.display)
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    return page


def test_a_bar_shows_bytes_and_how_many_there_are(page):
    with NotebookBar("x.nc", 4_000_000, "B") as bar:
        bar.move(1_000_000, None)
    assert (
        '<progress aria-label="progress" value="1000000" max="4000000"></progress> 1 MB of 4 MB'
        in page.shown[0]
    )
    assert "✓ " in page.shown[-1]


def test_a_bar_without_a_known_end_shows_what_came(page):
    with NotebookBar("x.nc", None, "B") as bar:
        bar.move(1500, None)
    assert '<progress aria-label="progress"></progress> 1.5 kB' in page.shown[0]


def test_what_the_server_says_is_escaped(page):
    with NotebookBar("process 'x'", 100, "%") as bar:
        bar.move(40, "<script>alert(1)</script>")
    assert "40 % &lt;script&gt;" in page.shown[0]


def test_a_bar_that_broke_off_says_where(page):
    bar = NotebookBar("files", 12, "file")
    bar.move(5, None)
    bar.__exit__(ValueError, ValueError("x"), None)
    assert "ValueError at 5 of 12 file" in page.shown[-1]
