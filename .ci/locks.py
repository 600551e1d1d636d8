"""Keep the lock files in step with pyproject.toml.

`python .ci/locks.py` checks, offline, that each lock was written for the present dependency tables;
`python .ci/locks.py --write` writes them anew with uv and npm. A lock lists versions and hashes, nothing
else: no address, so that each machine asks the index it is set up for.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = {
    "bench": ["--group", "bench"],
    "build": ["--group", "build"],
    "image": ["pyproject.toml", "--extra", "postgres", "--extra", "mysql", "--extra", "fleet"],
    "run": ["pyproject.toml", "--extra", "postgres", "--extra", "mysql", "--extra", "preview"],
    "dev": ["pyproject.toml", "--extra", "dev"],
}
NODE = ROOT / ".ci" / "node"
UV = ROOT / ".tools" / "bin" / "uv"
PINNED = re.compile(r"^[a-z0-9][a-z0-9.-]*==[^ ]+( ; .+)? \\$")
EXACT = re.compile(r"^\d+\.\d+\.\d+$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def fingerprint() -> str:
    """Return a hash of everything in pyproject.toml that decides what is locked."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = tables["project"]
    facts = [project[key] for key in ("requires-python", "dependencies", "optional-dependencies")]
    facts.append(tables["dependency-groups"])
    return hashlib.sha256(json.dumps([facts, LOCKS], sort_keys=True).encode()).hexdigest()


def header() -> str:
    """Return the first line of a lock that is up to date."""
    return f"# locked for the dependency tables {fingerprint()}; rewrite with `make lock`"


def write(name: str, options: list[str]) -> None:
    """Resolve one lock with uv and put the header on it."""
    path = ROOT / "requirements" / f"{name}.lock"
    subprocess.run(  # noqa: S603 - our own tool and options
        [
            *(str(UV), "pip", "compile", "--quiet", *options),
            *("--universal", "--python-version", "3.11", "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--output-file", str(path)),
        ],
        check=True,
        cwd=ROOT,
    )
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text("\n".join([header(), *lines, ""]))


def write_node() -> None:
    """Resolve the lock of the Node tools; leave out what npm adds beside versions and hashes."""
    subprocess.run(
        ["npm", "install", "--package-lock-only", "--ignore-scripts"],  # noqa: S607 - the machine's npm
        check=True,
        cwd=NODE,
    )
    path = NODE / "package-lock.json"
    lock = json.loads(path.read_text())
    for package in lock["packages"].values():
        for key in ("funding", "license"):
            package.pop(key, None)
    path.write_text(json.dumps(lock, indent=2) + "\n")


def mistakes_of_node(declared: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    """Return what is wrong with package-lock.json, given package.json."""
    tools = declared["devDependencies"]
    found = [
        f"package.json: {name} must be one exact version, found {version!r}"
        for name, version in tools.items()
        if not EXACT.match(version)
    ]
    if lock["packages"][""]["devDependencies"] != tools:
        found.append("package-lock.json is older than package.json; run `make lock`")
    for name, package in lock["packages"].items():
        if name and not package.get("integrity", "").startswith("sha512-"):
            found.append(f"package-lock.json, {name}: no sha512 hash")
        for key, value in package.items():
            if key == "resolved" or "://" in json.dumps(value):
                found.append(f"package-lock.json, {name}: an address does not belong here: {key}")
    return found


def mistakes(name: str) -> list[str]:
    """Return what is wrong with one lock."""
    path = ROOT / "requirements" / f"{name}.lock"
    if not path.exists():
        return [f"{path.name} is missing; run `make lock`"]
    first, *lines = path.read_text().splitlines()
    stale = (
        [] if first == header() else [f"{path.name} is older than pyproject.toml; run `make lock`"]
    )
    odd = [
        f"{path.name}, line {number}: only versions and hashes belong here, found {line!r}"
        for number, line in enumerate(lines, 2)
        if not PINNED.match(line) and not HASH.match(line)
    ]
    return stale + odd


if __name__ == "__main__":
    if "--write" in sys.argv:
        for lock, chosen in LOCKS.items():
            write(lock, chosen)
        write_node()
    found = [mistake for lock in LOCKS for mistake in mistakes(lock)] + mistakes_of_node(
        json.loads((NODE / "package.json").read_text()),
        json.loads((NODE / "package-lock.json").read_text()),
    )
    print("\n".join(found) or "lock files are up to date")
    sys.exit(bool(found))
