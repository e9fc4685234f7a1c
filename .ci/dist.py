"""Build the sdist and the wheel, and use each alone in a clean environment.

usage: dist.py [--tag TAG] [--full] [--extras NAME ... | --all-extras]

Both are built into dist/ and installed into an environment that has nothing else: what comes with
them is exactly the core dependencies and theirs, every public name is there, and a command names
the extra that it needs. The sdist's own manual is built and its tests are run, by the environment
that runs this script: all that need no cluster with --full, or else those of packaging and
placement. --extras installs each extra into a clean environment, and runs its script of
.ci/extras. --tag says what is released: version, changelog and CITATION.cff must agree with it.
"""

import argparse
import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
EXTRAS = sorted(path.stem for path in (ROOT / ".ci" / "extras").glob("*.py"))
NAME = "pavics-affinity"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MANUAL = PROJECT["urls"]["Documentation"]
OWN_TOOLS = {"pip", "setuptools", "wheel"}

NAMES = """
import pavics_affinity
for name in pavics_affinity.__all__:
    getattr(pavics_affinity, name)
print(len(pavics_affinity.__all__), "public names, version", pavics_affinity.__version__)
"""


def say(text: str, begun: float | None = None) -> None:
    """Print what was done, and how long it took."""
    took = "" if begun is None else f" ({time.monotonic() - begun:.0f} s)"
    print(f"  {text}{took}", flush=True)


def fail(text: str) -> None:
    """End the script."""
    sys.exit(f"dist.py: {text}")


def run(
    *command: str | Path, code: int = 0, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command without what the caller's environment says of Python."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != code:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        fail(f"{' '.join(str(each) for each in command)} ended with {done.returncode}, not {code}")
    return done


class Environment:
    """A new virtual environment, and what is installed into it."""

    def __init__(self, place: Path) -> None:
        self._programs = place / "bin"
        self._directory = place / "work"
        run(sys.executable, "-m", "venv", place)
        self._directory.mkdir()

    def run(self, program: str, *arguments: str | Path, code: int = 0) -> str:
        """Run one of its programs outside of the repository; return all that it printed."""
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        done = run(self._programs / program, *arguments, code=code, cwd=self._directory, PATH=path)
        return done.stdout + done.stderr

    def install(self, what: str | Path) -> None:
        """Install a file, or one with an extra."""
        self.run("python", "-m", "pip", "install", "--quiet", what)

    def installed(self) -> dict[str, list[Requirement]]:
        """Return the packages that are there, with what each needs here."""
        seen = json.loads(self.run("python", "-m", "pip", "inspect").partition("\nWARNING")[0])
        return {
            canonicalize_name(each["metadata"]["name"]): [
                needed
                for needed in map(Requirement, each["metadata"].get("requires_dist", []))
                if needed.marker is None or needed.marker.evaluate({"extra": ""})
            ]
            for each in seen["installed"]
        }


def build() -> tuple[Path, Path]:
    """Build both, the wheel from the sdist; return their paths."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    [sdist], [wheel] = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def check_page(wheel: Path) -> None:
    """Check the page that PyPI shows: it renders, and its links lead to the manual's pages."""
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir())
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"]+)\"", page)
    for link in (first or second for first, second in links):
        if not link.startswith(("https://", "#")):
            fail(f"README's link to {link} does not lead to the manual; see pyproject.toml")
        of_manual = link.partition("#")[0].removeprefix(MANUAL)
        if link.startswith(MANUAL) and not is_page(of_manual):
            fail(f"README's link to {link} leads to a page that the manual does not have")
    say(f"twine finds nothing; README's {len(links)} links are absolute")


def is_page(path: str) -> bool:
    """Return whether the manual has a page, or a picture, of this path."""
    if path.startswith("_images/"):
        return (ROOT / "docs" / "images" / Path(path).name).exists()
    return (ROOT / "docs" / (path.removesuffix(".html") or "index")).with_suffix(".md").exists()


def check_alone(environment: Environment, source: Path) -> None:
    """Install a file alone: nothing but the core comes with it, and the core is all it needs."""
    begun = time.monotonic()
    environment.install(source)
    there = environment.installed()
    core = sorted(canonicalize_name(each.name) for each in there[NAME])
    wanted = {canonicalize_name(Requirement(each).name) for each in PROJECT["dependencies"]}
    needed, found = set(core), list(core)
    while found:
        theirs = {canonicalize_name(each.name) for each in there[found.pop()]} - needed
        needed |= theirs
        found.extend(theirs)
    if set(core) != wanted or set(there) - OWN_TOOLS - {NAME} != needed:
        fail(f"{source.name} brought {sorted(set(there) - OWN_TOOLS)}, not {sorted(needed)}")
    say(f"{source.name} brings {', '.join(core)}", begun)
    say(f"and theirs: {', '.join(sorted(needed - wanted))}")
    say(environment.run("python", "-c", NAMES).strip())
    say(environment.run(NAME, "--version").strip())
    refusal = environment.run(NAME, "where", "a1b2", code=2)
    if "pip install 'pavics-affinity[cli]'" not in refusal:
        fail(f"a command without the extra says only: {refusal}")
    say(refusal.strip())


def check_sdist(sdist: Path, directory: Path, *, full: bool) -> None:
    """Build the manual and run tests from the unpacked sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    [here] = directory.iterdir()
    begun = time.monotonic()
    path = {"PYTHONPATH": str(here / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    run(sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "docs", "built", cwd=here, **path)
    say(f"the manual builds from {sdist.name}", begun)
    begun = time.monotonic()
    tests = ["tests"] if full else ["tests/placement", "tests/test_release.py"]
    quick = ["-q", "-m", "not cluster and not slow"]
    done = run(sys.executable, "-m", "pytest", *quick, *tests, cwd=here, **path)
    say(f"its tests: {done.stdout.splitlines()[-1]}", begun)


def check_extra(extra: str, wheel: Path, directory: Path) -> None:
    """Install the wheel with one extra alone, and use it once."""
    begun = time.monotonic()
    environment = Environment(directory / extra)
    environment.install(f"{wheel}[{extra}]")
    # Without -P the names of the scripts would hide those of the packages.
    printed = environment.run("python", "-P", ROOT / ".ci" / "extras" / f"{extra}.py")
    say(f"[{extra}] {' '.join(printed.split())}", begun)


def check_tag(tag: str) -> None:
    """Check that what is built is what the tag says, and that the changelog is dated."""
    source = (ROOT / "src" / "pavics_affinity" / "__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', source, re.M)
    if tag != f"v{version}":
        fail(f"the tag is {tag}, and the version is {version}")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (.+)$", changes, re.M)
    dated = heading and re.fullmatch(rf"{re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)", heading[1])
    if not dated:
        fail(f"CHANGELOG.md must begin with '## {version} (YYYY-MM-DD)'")
    if f"date-released: {dated[1]}" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        fail(f"CITATION.cff must have the line 'date-released: {dated[1]}'")


def main() -> None:
    """Build, then check what was built."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tag", help="the tag that is released, such as v0.2.0")
    parser.add_argument("--full", action="store_true", help="all of the sdist's quick tests")
    parser.add_argument("--extras", nargs="+", choices=EXTRAS, default=["cli"], metavar="NAME")
    parser.add_argument("--all-extras", action="store_true", help=f"these: {', '.join(EXTRAS)}")
    options = parser.parse_args()
    if options.tag:
        check_tag(options.tag)
    begun = time.monotonic()
    sdist, wheel = build()
    say(f"{sdist.name} and {wheel.name} are built", begun)
    check_page(wheel)
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        for extra in EXTRAS if options.all_extras else options.extras:
            check_extra(extra, wheel, directory)
        if not options.all_extras:
            check_alone(Environment(directory / "wheel"), wheel)
            check_alone(Environment(directory / "sdist"), sdist)
            check_sdist(sdist, directory / "unpacked", full=options.full)
    say(f"sha256 of {sdist.name}: {hashlib.sha256(sdist.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
