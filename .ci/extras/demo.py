"""The demo runs chains on real nodes, behind nginx if there is one."""

import json
import subprocess

command = ["pavics-affinity", "demo", "--chains", "3", "--nodes", "2", "--json"]
done = subprocess.run(command, check=True, capture_output=True, text=True)
found = json.loads(done.stdout)
assert found["pinned"]["succeeded"] == 3, found
print(f"runs {found['pinned']['succeeded']} chains, proxy {found['proxy']}")
