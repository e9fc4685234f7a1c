"""Add the rendered component to a checkout of birdhouse-deploy, and look what changes.

    python tests/upstream/birdhouse_deploy.py CHECKOUT

The checkout is copied and not changed. Its own ``birdhouse-compose.sh info`` renders the templates,
without a container engine (``envsubst`` and ``jq`` are needed). What the compose files mount into
the proxy is put together as the container would see it, with host names replaced by 127.0.0.1, and
``nginx -t`` reads it. Every file of the site must be the same with and without the component, byte
for byte, and ``check`` must find no error in any tree.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import trustme
import yaml

from pavics_affinity import read_nginx
from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.render import render
from pavics_affinity.proxy.write import write
from pavics_affinity.testing.nginx import find_nginx
from pavics_affinity.topology import Backend, Node, Outputs, Service, Tls, Topology

HOST = "pavics.example"
BIRDS = {"finch": 5000, "raven": 9099}
COMPONENTS = [
    *(f"./components/{name}" for name in BIRDS),
    "./components/thredds",
    "./optional-components/secure-data-proxy",
]
_CERTIFICATE = "/etc/nginx/cert.pem"
_MISSING = 2


def inner() -> Topology:
    """Three nodes behind Twitcher; the first is the stack itself."""
    return Topology(
        nodes=[Node(f"node{number}", f"10.0.0.{number}") for number in (1, 2, 3)],
        services=[
            Service(
                name,
                url=f"https://{HOST}/twitcher/ows/proxy/{name}/wps",
                port=port,
                listen=port,
                path="/wps",
                outputs=Outputs(f"https://{HOST}/wpsoutputs/{name}", f"/wpsoutputs/{name}"),
                backends=[
                    Backend("node1", f"127.0.0.1:{5101 + place}"),
                    Backend("node2"),
                    Backend("node3"),
                ],
            )
            for place, (name, port) in enumerate(BIRDS.items())
        ],
        proxy="strict",
        tls="in front",
    )


def outer() -> Topology:
    """Two stacks behind a port of the first one's proxy."""
    return Topology(
        nodes=[Node(f"stack{number}", f"10.0.0.{number}") for number in (1, 2)],
        services=[
            Service(
                name,
                url=f"https://{HOST}:8443/twitcher/ows/proxy/{name}/wps",
                port=443,
                listen=8443,
                outputs=Outputs(f"https://{HOST}:8443/wpsoutputs/{name}", f"/wpsoutputs/{name}"),
                tls=True,
            )
            for name in BIRDS
        ],
        proxy="strict",
        evidence="X-Pavics-Node",
        tls=Tls(_CERTIFICATE, _CERTIFICATE),
    )


class Site:
    """A copy of the checkout, rendered by its own script."""

    def __init__(self, checkout: Path, directory: Path, component: Path | None = None) -> None:
        shutil.copytree(checkout, directory, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        self.root = directory / "birdhouse"
        self.component = component
        example = (self.root / "env.local.example").read_text()
        used = [*COMPONENTS, *([str(component)] if component else [])]
        own = f"export PAVICS_AFFINITY_DIR={component}\n" if component else ""
        (self.root / "env.local").write_text(
            f"{example}\n{own}export BIRDHOUSE_FQDN={HOST}\nexport BIRDHOUSE_FQDN_PUBLIC={HOST}\n"
            f'export BIRDHOUSE_EXTRA_CONF_DIRS="{" ".join(used)}"\n'
        )
        done = subprocess.run(
            ["./birdhouse-compose.sh", "info"],
            cwd=self.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "BIRDHOUSE_COMPOSE_TEMPLATE_FORCE": "true",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        words = done.stdout + done.stderr
        if done.returncode:
            raise SystemExit(f"birdhouse-compose.sh info failed:\n{words[-3000:]}")
        self.compose = re.findall(r"^.*?(\S*docker-compose\S*\.yml)\s*$", words, re.MULTILINE)

    def files(self) -> dict[str, str]:
        """Return the checksums of all files of the site."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file() and path.name != "env.local"
        }

    def mounts(self, service: str) -> dict[str, Path]:
        """Return what is mounted into a container; of one target the last mount counts."""
        found: dict[str, Path] = {}
        for name in self.compose:
            parts = yaml.safe_load((self.root / name).read_text()) or {}
            for line in ((parts.get("services") or {}).get(service) or {}).get("volumes", []):
                text = line.replace("${PAVICS_AFFINITY_DIR}", str(self.component))
                text = text.replace("${MAGPIE_PROVIDERS_CONFIG_PATH}", "/p")
                source, target, *_ = text.split(":")
                found[target] = self.root / source
        return found

    def test_nginx(self, directory: Path) -> str:
        """Put the container's /etc/nginx together, and let nginx test it; return its words."""
        for target, source in self.mounts("proxy").items():
            if not target.startswith("/etc/nginx/") or not source.exists():
                continue
            copy = directory / target.removeprefix("/etc/nginx/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            else:
                shutil.copy(source, copy)
        made = trustme.CA().issue_cert(HOST).private_key_and_cert_chain_pem
        made.write_to_path(directory / "cert.pem")
        (directory / "mime.types").write_text("types { text/html html; }\n")
        for file in directory.rglob("*"):
            if file.is_file() and file.suffix in (".conf", ".include"):
                file.write_text(_moved(file.read_text(), directory))
        done = subprocess.run(
            [find_nginx() or "nginx", "-t", "-p", f"{directory}/", "-c", directory / "nginx.conf"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"nginx refuses the files:\n{done.stderr}")
        return done.stderr.strip().rpartition(" ")[2]


def _moved(text: str, directory: Path) -> str:
    text = text.replace("/etc/nginx/", f"{directory}/").replace("/var/log/nginx/", f"{directory}/")
    text = text.replace("/var/run/", f"{directory}/")
    return re.sub(r"(proxy_pass https?://)[a-z][a-z0-9.]*(?=[:/;])", r"\g<1>127.0.0.1", text)


def _component(topology: Topology, layout: str, directory: Path) -> Path:
    files = render(topology, "birdhouse", layout="outer" if layout == "outer" else "inner")
    write(files, directory)
    return directory


def _report(name: str, *paths: Path, topology: Path | None = None) -> int:
    found = check(*paths, topology=topology)
    counts = Counter(f"{each.severity} {each.rule}" for each in found)
    print(f"check {name}: {', '.join(f'{n} {what}' for what, n in counts.items()) or 'nothing'}")
    for each in found:
        if each.severity != "note":
            print(f"  {each.severity} {each.rule}: {each.file}:{each.line}: {each.message}")
    return sum(each.severity == "error" for each in found)


def _try(layout: str, topology: Topology, before: Site, checkout: Path, work: Path) -> int:
    """Add a component, and return how many things are wrong."""
    site = Site(checkout, work / layout, _component(topology, layout, work / f"c-{layout}"))
    print(f"nginx -t with {layout}: {site.test_nginx(work / f'nginx-{layout}')}")
    one, other = before.files(), site.files()
    changed = sorted(each for each in one.keys() | other.keys() if one.get(each) != other.get(each))
    print(f"files of the site with {layout}: {len(one)}, {len(changed)} differ {changed}")
    topology.dump(work / f"{layout}.toml")
    errors = _report(f"with {layout}", site.root, topology=work / f"{layout}.toml")
    names = [service.name for service in read_nginx(site.root).services]
    print(f"read_nginx with {layout}: {', '.join(names)}")
    return len(changed) + errors + (_asked(site) if layout == "inner" else 0)


def _asked(site: Site) -> int:
    """Print where Twitcher finds the services; return how many are not behind the hash."""
    mounts = site.mounts("magpie")
    providers = {
        name: yaml.safe_load(mounts[f"/p/{name}-providers.cfg"].read_text())["providers"][name]
        for name in BIRDS
    }
    print(f"Twitcher asks: {', '.join(each['url'] for each in providers.values())}")
    return sum(each["url"] != f"http://proxy:{BIRDS[name]}/wps" for name, each in providers.items())


def main() -> int:
    """Run all steps; the exit code is 1 if something differs from what the manual says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="a checkout of bird-house/birdhouse-deploy")
    checkout = parser.parse_args().checkout.resolve()
    if not (checkout / "birdhouse" / "birdhouse-compose.sh").is_file():
        print(f"{checkout} is not a checkout of birdhouse-deploy", file=sys.stderr)
        return _MISSING
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        wrong = _report("as shipped", checkout / "birdhouse")
        before = Site(checkout, work / "before")
        print(f"nginx -t without the component: {before.test_nginx(work / 'nginx')}")
        wrong += _report("rendered by its own script", before.root)
        wrong += _try("inner", inner(), before, checkout, work)
        wrong += _try("outer", outer(), before, checkout, work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
