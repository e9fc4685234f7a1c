"""Open each page of the built manual, and our cards, in Chromium; report what does not look right.

usage: browser.py MANUAL AXE [PAGE ...]

MANUAL is the directory that `make docs` writes, AXE the path of axe-core's axe.min.js, which
``npm pack axe-core`` downloads. Each page is opened 1280 and 390 pixels wide, light and dark, and

- axe-core finds no accessibility problem,
- nothing is wider than the window, and at 1280 pixels no code is cut off,
- the search finds the page on retrieveData.

`THEME` names what axe finds in what the theme writes, and not in what we write.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
PATIENCE = 1800.0  # seconds for all pages
THEME = {
    ("/search.html", "page-has-heading-one"): "the theme writes only an h2, above the results",
}
"""Page and rule: why it stays."""

HARNESS = """<!doctype html><html lang="en"><title>harness</title><body><script>
const plan = PLAN;
const sleep = ms => new Promise(done => setTimeout(done, ms));
const found = [];
async function open(url, width) {
  document.querySelectorAll("iframe").forEach(old => old.remove());
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.src = url;
  const loaded = new Promise(done => { frame.onload = done });
  document.body.append(frame);
  await loaded;
  return frame.contentWindow;
}
function wide(page, width) {
  const root = page.document.documentElement, bad = [];
  if (root.scrollWidth > root.clientWidth) {
    const all = [...page.document.body.querySelectorAll("*")];
    const past = all.filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
    bad.push(["wider than the window", past.slice(0, 3).map(e => e.outerHTML.slice(0, 90))]);
  }
  if (width >= 1000)
    for (const e of page.document.querySelectorAll("pre, .table-wrapper, .paf-wide"))
      if (e.scrollWidth > e.clientWidth + 1)
        bad.push(["cut off", [e.textContent.trim().slice(0, 90)]]);
  return bad;
}
async function check(url, width, dark) {
  const page = await open(url, width);
  // The manual has a theme to set; a notebook of cards is what it is.
  if (page.document.body.dataset.theme) page.document.body.dataset.theme = dark ? "dark" : "light";
  const where = `${url} ${width} ${dark ? "dark" : "light"}`;
  for (const [what, parts] of wide(page, width)) found.push({where, what, parts});
  const script = page.document.createElement("script");
  script.src = "/axe.min.js";
  const ready = new Promise(done => { script.onload = done });
  page.document.head.append(script);
  await ready;
  const result = await page.axe.run(page.document, {iframes: false});
  for (const v of result.violations)
    found.push({where, what: `axe ${v.id} (${v.impact})`, help: v.help,
                parts: v.nodes.map(n => `${n.target.join(" ")} | ${n.html.slice(0, 120)} | ` +
                                        `${n.any.concat(n.all, n.none).map(c => c.message)[0]}`)});
}
async function search(words) {
  const page = await open(`/search.html?q=${words}`, 1280);
  const summary = () => page.document.querySelector(".search-summary")?.textContent ?? "";
  for (let i = 0; i < 200 && !summary().includes("found"); i++) await sleep(50);
  return [...page.document.querySelectorAll("ul.search a")].map(a => a.getAttribute("href"));
}
(async () => {
  try {
    for (const url of plan.pages)
      for (const width of plan.widths)
        for (const dark of [false, true]) await check(url, width, dark);
    const hits = {};
    for (const words of plan.searches) hits[words] = await search(words);
    await fetch("/found", {method: "POST", body: JSON.stringify({found, hits})});
  } catch (error) {
    await fetch("/found", {method: "POST", body: JSON.stringify({error: String(error.stack)})});
  }
})();
</script></body></html>"""

SEARCHES = {"retrieveData": "outputs.html"}
"""Words, and the page that the search must list."""


class Handler(SimpleHTTPRequestHandler):
    """Serves the manual and the files beside it, and takes what the harness found."""

    beside: Mapping[str, bytes]
    answers: queue.Queue[dict[str, Any]]

    def do_GET(self):
        body = self.beside.get(self.path)
        if body is None:
            super().do_GET()
            return
        self.send_response(200)
        kind = "text/javascript" if self.path.endswith(".js") else "text/html"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def look_at(
    manual: Path, axe: Path, pages: list[str], beside: Mapping[str, bytes], searches: list[str]
) -> dict[str, Any]:
    """Open the pages in Chromium and return what was found."""
    plan = {"pages": pages, "widths": WIDTHS, "searches": searches}
    files = {
        "/harness.html": HARNESS.replace("PLAN", json.dumps(plan)).encode(),
        "/axe.min.js": axe.read_bytes(),
        **beside,
    }
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    kind = type("Here", (Handler,), {"beside": files, "answers": answers})
    make: Callable[..., Any] = lambda *a: kind(*a, directory=str(manual))  # noqa: E731
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), make) as server,
        tempfile.TemporaryDirectory() as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
                *(f"--user-data-dir={profile}", "--window-size=1400,1000", "--no-first-run"),
                f"http://127.0.0.1:{server.server_address[1]}/harness.html",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return answers.get(timeout=PATIENCE)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()


def report(found: list[dict[str, Any]]) -> int:
    """Print each finding once, with the pages that have it; return how many are ours."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    themes = set()
    for one in found:
        page, rule = one["where"].partition(" ")[0], one["what"].split()[1]
        if (page, rule) in THEME:
            themes.add((page, rule))
            continue
        for part in one["parts"] or [""]:
            places[one["what"], part].append(one["where"])
    for (what, part), where in sorted(places.items()):
        print(f"{what}: {part}\n    {len(where)} times, first at {where[0]}")
    for page, rule in sorted(themes):
        print(f"of the theme: {page} {rule}, {THEME[page, rule]}")
    print(f"{len(places)} findings")
    return len(places)


def main(manual: str, axe: str, *pages: str) -> int:
    root = Path(manual)
    beside = {f"/{name}": page for name, page in cards().items()}
    every = [f"/{path.relative_to(root)}" for path in sorted(root.rglob("*.html"))]
    every = [page for page in every if not page.startswith("/_")] + list(beside)
    wanted = [page for page in every if not pages or any(name in page for name in pages)]
    answer = look_at(root, Path(axe), wanted, beside, [] if pages else list(SEARCHES))
    if "error" in answer:
        print(answer["error"])
        return 1
    ours = report(answer["found"])
    for words, hits in answer["hits"].items():
        listed = any(SEARCHES[words] in hit for hit in hits)
        print(f"the search for {words} lists {', '.join(hits) or 'nothing'}")
        ours += not listed
    print(f"{len(wanted)} pages, {len(WIDTHS)} widths, light and dark")
    return int(ours > 0)


# ---- cards ----

FRAMES = {
    "jupyterlab-light": (
        "",
        '<div data-jp-theme-light="true" style="--jp-content-font-color1:rgba(0,0,0,.87);'
        '--jp-content-font-family:system-ui;background:#fff;color:#212121">',
    ),
    "jupyterlab-dark": (
        "",
        '<div data-jp-theme-light="false" style="--jp-content-font-color1:#fff;'
        '--jp-content-font-family:system-ui;background:#111;color:#fff">',
    ),
    "vscode-light": (' class="vscode-light"', '<div style="background:#fff;color:#3b3b3b">'),
    "vscode-high-contrast": (
        ' class="vscode-high-contrast"',
        '<div style="background:#000;color:#fff">',
    ),
    "vscode-high-contrast-light": (
        ' class="vscode-high-contrast vscode-high-contrast-light"',
        '<div style="background:#fff;color:#292929">',
    ),
    "vscode-dark": (' class="vscode-dark"', '<div style="background:#1f1f1f;color:#ccc">'),
}
"""What surrounds a card in a notebook: attributes of the body, and the element around it."""


def cards() -> dict[str, bytes]:
    """Return a page for each kind of notebook, with the card of each kind of object."""
    shown = shown_cards()
    pages = {}
    for name, (attributes, around) in FRAMES.items():
        sections = "".join(f"<h2>{title}</h2>{card}" for title, card in shown.items())
        pages[f"cards-{name}.html"] = (
            f'<!doctype html><html lang="en"><title>Cards in {name}</title>'
            f'<meta name="viewport" content="width=device-width"><body{attributes}>{around}'
            f"<main><h1>Cards in {name}</h1>{sections}</main></div></body></html>"
        ).encode()
    return pages


def shown_cards() -> dict[str, str]:
    """Run a chain on real nodes, and return what a notebook shows of each object."""
    from pavics_affinity import Workflow, map_workflows
    from pavics_affinity.errors import ExecutionFailed
    from pavics_affinity.testing import LocalCluster

    with LocalCluster() as cluster, Workflow(topology=cluster.topology) as wf:
        malleefowl = wf.wps(cluster.url("malleefowl"))
        flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
        download = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
        [path] = download.output("output").json()
        box = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]
        subset = flyingpigeon.execute("subset_bbox", [("resource", path), *box]).wait()
        failed = flyingpigeon.execute("fail", [])
        with contextlib.suppress(ExecutionFailed):
            failed.wait()
        running = malleefowl.execute("sleep", [("delay", "30")])
        batch = map_workflows(
            lambda wf, text: (
                wf.wps(cluster.url("malleefowl"))
                .execute("echo", [("text", text)])
                .wait()
                .output("text")
                .text()
            ),
            ["a", "b", "c"],
            topology=cluster.topology,
        )
        list(batch)
        objects = {
            "Workflow": wf,
            "Client": malleefowl,
            "Process": malleefowl.describeprocess("download"),
            "Execution": subset,
            "Failed execution": failed,
            "Running execution": running,
            "Output": subset.output("output"),
            "Topology": cluster.topology,
            "Record": wf.record,
            "Batch": batch,
        }
        return {title: thing._repr_html_() for title, thing in objects.items()}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
