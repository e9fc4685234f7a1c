"""The operator's commands read nginx's files."""

import subprocess
from pathlib import Path

Path("site.conf").write_text(
    """
    upstream finch { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }
    server { listen 58093; location / { proxy_pass http://finch; } }
    """,
    encoding="utf-8",
)
command = ["pavics-affinity", "where", "--nginx", "site.conf", "a1b2"]
done = subprocess.run(command, check=True, capture_output=True, text=True)
assert "finch" in done.stdout, done
subprocess.run(["pavics-affinity", "check", "site.conf"], check=False, capture_output=True)
print("finds a node in nginx's files")
