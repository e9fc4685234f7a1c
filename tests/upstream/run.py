"""Run birdy's and OWSLib's own WPS tests with our classes instead of theirs.

birdy's tests come from its source distribution, and talk to Emu, the service that they
are written for: three nodes of it behind nginx, which share nothing. OWSLib's are in no
distribution; give a checkout of its repository: ``make upstream OWSLIB=path``.

It fails if a test passes with its project's own classes, and does not with ours.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from support.behind_nginx import BehindNginx, closed_if_it_fails  # noqa: E402 - tests are not a package

BIRDY = ("test_client.py", "test_converters.py", "test_notebook.py", "test_utils.py")
MOCKED = "replaces OWSLib's openURL by a function of its test, and we do not call openURL"
BOTH_FAIL = {
    "test_is_opendap_url": "asks servers on the internet",
    "test_wps_wordcounter": "Emu's process fails under this PyWPS",
}
BY_DESIGN = {
    "test_wps_describeprocess_language": MOCKED,
    "test_wps_execute_language": MOCKED,
    "test_wps_getcapabilities_language": MOCKED,
    "test_wps_response_local_file": "has the service name a local file, which we do not read",
}


class EmuSite(BehindNginx):
    """Some nodes, each with one Emu."""

    def __init__(self, directory: Path, packages: Path, nodes: int = 3) -> None:
        super().__init__(directory, nodes)
        with closed_if_it_fails(self):
            for name, host in self.nodes.items():
                disk = self.disk(name)
                command = [sys.executable, "-m", "gunicorn", "-b", f"{host}:{self.port}"]
                command += ["-w", "2", "--preload", "-t", "600", "--worker-tmp-dir", str(disk)]
                environment = {"EMU_URL": self.url, "PYTHONPATH": f"{packages}:{HERE}"}
                self.start_server(name, [*command, "emu_node:application"], environment)
            self.start_nginx("/wps?service=WPS&request=GetCapabilities")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one test."""

    state: str
    words: str


Outcomes = dict[str, Outcome]


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def source_of(package: str, directory: Path) -> Path:
    """Return the unpacked source distribution of the version that is installed."""
    version = importlib.metadata.version(package)
    wanted = f"{package}=={version}"
    pip("download", "--no-deps", "--no-binary", ":all:", "-d", str(directory), wanted)
    [archive] = directory.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    [unpacked] = [path for path in directory.iterdir() if path.is_dir()]
    return unpacked


def outcomes(tests: list[Path], *, ours: bool, cwd: Path, url: str = "") -> Outcomes:
    """Run tests, and return the outcome of each."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        environment = os.environ | {"PYTHONPATH": str(HERE), "UPSTREAM_URL": url}
        environment["UPSTREAM_OURS"] = "yes" if ours else ""
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "ours"]
        command += ["-o", "addopts=", "-o", "timeout=120", "-W", "ignore", f"--rootdir={cwd}"]
        command += [f"--junit-xml={report}", *map(str, tests)]
        subprocess.run(command, env=environment, cwd=cwd, stdout=subprocess.PIPE, check=False)
        cases = ET.parse(report).iter("testcase")
        return {f"{case.get('classname')}.{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> Outcome:
    for state in ("failure", "error", "skipped"):
        found = case.find(state)
        if found is not None:
            words = found.get("message") or ""
            return Outcome("skipped" if state == "skipped" else "failed", words.split("\n")[0])
    return Outcome("passed", "")


def tell(who: str, found: Outcomes) -> None:
    states = Counter(outcome.state for outcome in found.values())
    print(f"  {who:<42} {states['passed']:>3} of {len(found)} pass, {states['skipped']} skipped")


def lost(theirs: Outcomes, ours: Outcomes) -> list[str]:
    """Print the tests that do not pass with ours, and return those that are our fault."""
    fault = []
    for name, outcome in sorted(ours.items()):
        if outcome.state == "passed":
            continue
        before, short = theirs[name].state, name.rpartition(".")[2]
        reason = BOTH_FAIL.get(short) or BY_DESIGN.get(short) or outcome.words
        print(f"    {outcome.state}, {before} with theirs: {name}: {reason}")
        if before == "passed" and short not in BY_DESIGN:
            fault.append(name)
    return fault


def birdy(directory: Path) -> list[str]:
    """Run birdy's tests: with theirs at one node, theirs through the proxy, ours through it."""
    tests = source_of("birdhouse-birdy", directory / "birdy") / "tests"
    packages = directory / "emu"
    pip("install", "--no-deps", "--target", str(packages), "birdhouse-emu", "geomet")
    files = [tests / name for name in BIRDY]
    with (
        EmuSite(directory / "alone", packages, nodes=1) as alone,
        EmuSite(directory / "site", packages) as site,
        ThreadPoolExecutor() as pool,
    ):

        def run(url: str, *, ours: bool) -> Future[Outcomes]:
            return pool.submit(outcomes, files, ours=ours, cwd=tests, url=f"{url}/wps")

        reference, plain = run(alone.url, ours=False), run(site.url, ours=False)
        found = run(site.url, ours=True)
        print(f"birdy {importlib.metadata.version('birdhouse-birdy')}, on Emu:")
        tell("their classes, at one node", reference.result())
        tell("their classes, three nodes behind nginx", plain.result())
        tell("our classes, three nodes behind nginx", found.result())
        asked = {(r["machineid"], r["node"]) for r in site.requests() if r["machineid"]}
    fault = lost(reference.result(), found.result())
    # One process with one workflow: whatever it asked, it asked one node.
    return fault if len(asked) == 1 else [*fault, f"requests went to {sorted(asked)}"]


def owslib(checkout: Path) -> list[str]:
    """Run OWSLib's tests of WPS and of OGC API - Processes, from a checkout."""
    files = sorted((checkout / "tests").glob("test_wps*.py"))
    files += sorted((checkout / "tests").glob("test_ogcapi_processes*.py"))
    print(f"OWSLib {importlib.metadata.version('owslib')}:")
    reference = outcomes(files, ours=False, cwd=checkout)
    found = outcomes(files, ours=True, cwd=checkout)
    tell("their classes", reference)
    tell("our classes", found)
    return lost(reference, found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owslib", type=Path, help="a checkout of OWSLib's repository")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        os.environ["TMPDIR"] = directory  # Emu and birdy leave files behind
        fault = birdy(Path(directory))
        if arguments.owslib is not None:
            fault += owslib(arguments.owslib.resolve())
    for name in fault:
        print(f"passes with the project's own classes, and not with ours: {name}", file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
