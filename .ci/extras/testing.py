"""A test uses the fixture of a cluster."""

import subprocess
import sys
from pathlib import Path

Path("test_chain.py").write_text(
    """
from pavics_affinity import Workflow

def test_a_chain(affinity_cluster_no_proxy):
    cluster = affinity_cluster_no_proxy
    with Workflow(topology=cluster.topology) as wf:
        wps = wf.wps(cluster.url("malleefowl"))
        execution = wps.execute("download", [("resource", cluster.sample_url)]).wait()
        assert execution.output("output").json()
""",
    encoding="utf-8",
)
command = [sys.executable, "-m", "pytest", "-q", "test_chain.py"]
done = subprocess.run(command, check=False, capture_output=True, text=True)
assert done.returncode == 0, done.stdout
print(done.stdout.splitlines()[-1])
