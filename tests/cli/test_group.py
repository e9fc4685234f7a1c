"""The command line as a whole: light to start, and errors that fit in one line."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import pavics_affinity
from pavics_affinity.cli.group import COMMANDS, group
from pavics_affinity.errors import TopologyError, see_manual

from .conftest import SITE

HELP = """\
from pavics_affinity.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
"""
WITHOUT_CLICK = (
    "import sys\nsys.modules['click'] = None\nfrom pavics_affinity.cli import main\nmain()"
)


def started(*args, encoding="utf-8", **environment):
    """Run Python with these arguments."""
    return subprocess.run(
        [sys.executable, *map(str, args)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding=encoding,
        timeout=120,
        check=False,
    )


def python(code, *args):
    return started("-c", code, *args)


def test_the_help_names_every_command(run):
    done = run("--help")
    assert done.code == 0
    assert [name for name in COMMANDS if f"\n  {name} " in done.out] == list(COMMANDS)
    assert run("-h").out == done.out


def test_the_help_loads_no_command_and_nothing_heavy():
    code = f"import json, sys\n{HELP}print('\\n' + json.dumps([code, *sys.modules]))"
    exit_code, *loaded = json.loads(python(code, "--help").stdout.splitlines()[-1])
    assert exit_code == 0
    assert "click" in loaded
    heavy = {"rich", "tqdm", "crossplane", "pywps", "numpy"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in loaded)
    assert not [name for name in loaded if name.removeprefix("pavics_affinity.cli.") in COMMANDS]


def test_the_version_is_the_packages(run):
    assert run("--version").out == f"pavics-affinity, version {pavics_affinity.__version__}\n"


def test_without_click_the_pip_command_is_named_in_one_line():
    done = python(WITHOUT_CLICK, "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'pavics-affinity[cli]'" in done.stderr


@pytest.mark.parametrize("command", ["demo", "cluster"])
def test_without_click_a_command_that_starts_a_cluster_names_its_own_extra(command):
    done = python(WITHOUT_CLICK, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'pavics-affinity[demo]'" in done.stderr


def test_the_version_needs_no_click():
    done = python(WITHOUT_CLICK, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"pavics-affinity, version {pavics_affinity.__version__}\n"


@pytest.mark.parametrize(("package", "extra"), [("rich", "cli"), ("crossplane", "nginx")])
def test_without_a_package_that_a_command_needs_its_extra_is_named(conf, package, extra):
    code = f"import sys\nsys.modules[{package!r}] = None\n{HELP}sys.exit(code)"
    done = python(code, "where", "--nginx", str(conf), "--", "a1b2")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert extra in done.stderr.partition("pip install")[2]


def test_a_command_that_is_not_there_is_a_usage_error(run):
    assert "No such command 'wear'; did you mean 'where'?" in run("wear").err
    assert run("wear").code == 2


def test_an_error_of_ours_is_one_line_the_manuals_url_and_the_exit_code_1(run, tmp_path):
    done = run("where", "--topology", tmp_path, "a1b2")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: cannot read the topology file")
    assert done.err.splitlines()[1:] == [see_manual(TopologyError)]


MISTYPED = (
    "where --topology MISSING a1b2",
    "where --nginx MISSING -- a1b2",
    "spread --topology MISSING",
    "mint --node node1 --topology MISSING",
    "mint --node nod1 --topology SITE",
    "mint --node node1 --service fich --topology SITE",
    "render MISSING -o OUT",
    "check SITE",
    "check MISSING",
    "log MISSING",
    "cluster --nodes 0",
    "cluster --nodes three",
    "cluster --style strict --proxy none",
    "cluster --save SITE",
    "demo --chains 0",
)


@pytest.mark.parametrize("line", MISTYPED)
def test_a_usage_mistake_is_the_exit_code_2(run, site, tmp_path, line):
    names = {"MISSING": tmp_path / "missing.conf", "SITE": site, "OUT": tmp_path / "out"}
    done = run(*(names.get(word, word) for word in line.split()))
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err
    assert site.read_text() == SITE


def test_the_installed_script_runs(conf):
    done = started("-m", "pavics_affinity.cli", "where", "--nginx", conf, "--json", "a1b2")
    assert done.returncode == 0
    assert list(json.loads(done.stdout)) == ["a1b2"]


def test_a_reader_that_stops_early_is_not_an_error(site, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("\n".join(map(str, range(50_000))))
    with (
        keys.open() as stdin,
        subprocess.Popen(
            [sys.executable, "-m", "pavics_affinity.cli", "where", "--topology", site, "-"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout.readline().startswith("0\t")
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(60)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


# ---- which site ----


def test_without_a_site_the_error_names_the_options(run):
    done = run("where", "a1b2")
    assert done.code == 2
    assert "--topology FILE or --nginx FILE..., or set PAVICS_AFFINITY_TOPOLOGY" in done.err


def test_two_sites_are_a_usage_error(run, site, conf):
    done = run("where", "a1b2", "--topology", site, "--nginx", conf)
    assert done.code == 2
    assert "not both" in done.err


@pytest.mark.parametrize("command", ["where a1b2", "mint --node node1", "spread --keys 100"])
def test_the_users_own_topology_is_the_default(run, site, monkeypatch, command):
    monkeypatch.setenv("PAVICS_AFFINITY_TOPOLOGY", str(site))
    assert run(*command.split()).code == 0


def test_the_working_directory_names_no_site(run, site, monkeypatch):
    (site.parent / "topology.toml").write_text(site.read_text())
    monkeypatch.chdir(site.parent)
    assert run("where", "a1b2").code == 2


# ---- --nginx ----


def services(done, key="a1b2"):
    assert done.code == 0, done.err
    return list(done.json[key])


def test_the_nginx_option_takes_files_in_every_form(run, conf, monkeypatch):
    finch, emu = conf / "finch.conf", conf / "emu.conf"
    both = ["finch", "emu"]
    where = ("where", "--json")
    assert services(run(*where, "a1b2", "--nginx", finch, emu)) == both
    assert services(run("where", "--nginx", finch, emu, "--json", "a1b2")) == both
    assert services(run("where", "--nginx", finch, emu, "a1b2", "--json")) == both
    assert services(run("where", "--nginx", finch, "--nginx", emu, "--json", "a1b2")) == both
    assert services(run("where", f"--nginx={finch}", emu, "--json", "a1b2")) == both
    assert services(run("where", "--nginx", f"{conf}/*.conf", "--json", "a1b2")) == both[::-1]
    assert services(run(*where, "--nginx", finch, emu, "--", "a1b2")) == both
    monkeypatch.chdir(conf)
    emu.rename("emu")
    assert services(run("where", "--nginx", "finch.conf", "emu", "a1b2", "--json")) == both
    assert services(run(*where, "--nginx", "finch.conf", "--", "emu"), "emu") == ["finch"]


def test_a_missing_file_is_not_taken_for_a_key(run, conf):
    done = run("where", "--nginx", conf / "finch.conf", conf / "emo.conf", "a1b2")
    assert done.code == 2
    assert "there is no file" in done.err
    assert run("where", "--nginx").code == 2


# ---- host names ----


def by_name(tmp_path):
    path = tmp_path / "names.toml"
    path.write_text(
        '[nodes]\na = { host = "localhost" }\nb = { host = "127.0.0.9" }\n'
        "[services.finch]\nport = 8093\n"
    )
    return path


def test_a_note_says_that_host_names_count_as_one_address(run, tmp_path, site):
    done = run("where", "--topology", by_name(tmp_path), "--json", "a1b2")
    assert "localhost: each host name counts as one address" in done.err
    assert done.json
    assert run("where", "--topology", site, "a1b2").err == ""


def test_host_names_can_be_resolved_on_this_machine(run, tmp_path):
    done = run("where", "--topology", by_name(tmp_path), "--resolve", "--json", "a1b2")
    assert done.err == ""
    assert "127.0.0.1:8093" in done.json["a1b2"]["finch"]["order"]


def test_the_verbose_version_names_what_requests_pass_through(run):
    done = run("--version", "--verbose")
    assert done.code == 0
    for name in ("python: ", "requests: ", "owslib: ", "urllib3: "):
        assert f"\n{name}" in done.out


def test_a_flag_without_a_command_is_not_understood(run):
    assert run("--verbose").code == 2


def module(*args, **options):
    return started("-m", "pavics_affinity", *args, **options)


def test_the_package_itself_can_be_run(conf):
    done = module("where", "--nginx", conf, "--json", "a1b2")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(json.loads(done.stdout)) == ["a1b2"]
    assert module("--help").stdout.startswith("Usage: pavics-affinity")
    assert module("wear").returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_package_itself_runs_every_command(command):
    done = module(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: pavics-affinity {command}")


def test_the_package_itself_names_the_extra_that_is_missing():
    code = (
        "import sys, runpy\nsys.modules['click'] = None\nsys.argv[0] = 'x'\n"
        "runpy.run_module('pavics_affinity', run_name='__main__', alter_sys=True)"
    )
    done = python(code, "where", "a1b2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'pavics-affinity[cli]'" in done.stderr


# ---- terminals and shells ----


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", ["spread --keys 100 --topology", "where é --topology"])
def test_a_terminal_without_utf_8_gets_its_answer(site, command, encoding):
    done = module(*command.split(), site, encoding="latin-1", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    if "spread" in command:
        assert "####" in done.stdout


def test_no_color_is_obeyed(conf, monkeypatch):
    for wanted, variable in ((True, ""), (False, "1")):
        # Colour is on, as in a terminal.
        monkeypatch.setenv("NO_COLOR", variable)
        done = CliRunner().invoke(group, ["check", str(conf)], color=True)
        assert ("\x1b[" in done.stdout) is wanted


def test_a_shell_completes_commands():
    words = {"COMP_WORDS": "pavics-affinity sp", "COMP_CWORD": "1"}
    code = f"import sys\n{HELP}sys.exit(code)"
    done = started("-c", code, **words, _PAVICS_AFFINITY_COMPLETE="bash_complete")
    assert done.stdout == "plain,spread\n"
