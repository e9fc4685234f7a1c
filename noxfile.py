"""The targets of the Makefile on each Python, and the tests with the lowest versions.

``nox -s tests`` runs `make test` on each Python that is installed, and names those that are not;
``nox -s tests-3.13 -- test-quick`` another target. An environment has the package's extra ``dev``.
"""

import nox

PYTHONS = ["3.11", "3.12", "3.13"]

nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"


def make(session: nox.Session, *arguments: str) -> None:
    """Run a target of the Makefile in the environment of the session, which it fills."""
    environment = session.virtualenv.location
    session.run("make", f"VENV={environment}", *arguments, external=True)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests, or the targets that are given."""
    make(session, *(session.posargs or ["test"]))


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, types and layers."""
    make(session, "lint")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the manual, with warnings as errors."""
    make(session, "docs")


@nox.session(python=PYTHONS[0])
def dist(session: nox.Session) -> None:
    """Build the sdist and the wheel, and use each alone in a clean environment."""
    make(session, "dist")


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the quick tests with the lowest version of each dependency and extra."""
    session.install("--resolution", "lowest-direct", "--editable", ".[dev]", "-c", ".ci/lowest.txt")
    session.run("pytest", "-q", "-m", "not cluster and not slow", *session.posargs)
