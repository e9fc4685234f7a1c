"""A command runs with the packages of the extra alone."""

import subprocess

for arguments in (["mint"], ["spread", "--help"]):
    subprocess.run(["pavics-affinity", *arguments], check=True, capture_output=True)
print("mints machineids")
