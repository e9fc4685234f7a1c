"""The fixtures that come with the package."""

import json
import subprocess
import sys


def test_the_plugin_loads_nothing_that_is_not_used():
    code = (
        "import sys, json; import pavics_affinity.testing.pytest_plugin;"
        "print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    )
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not {"pywps", "gunicorn", "xarray", "netCDF4", "werkzeug"} & set(loaded)


def test_the_fixtures_come_with_the_package(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def test_node(affinity_cluster_no_proxy):\n"
        "    assert affinity_cluster_no_proxy.nodes == ('node1', 'node2', 'node3')\n"
        "def test_other(make_affinity_cluster):\n"
        "    assert make_affinity_cluster(1, proxy='none').nodes == ('node1',)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
