#!/usr/bin/env python3
"""Writes package-lock.json anew after a version in package.json changed.

npm resolves the whole tree; only the packages that package.json names are kept, without their own
dependencies (their JavaScript is never run) and without the host they came from. The SHA-512 of each
tarball stays.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
KEEP = ("version", "integrity", "license", "os", "cpu", "libc", "optional")


def main() -> int:
    manifest = json.loads((HERE / "package.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        for name in ("package.json", ".npmrc"):
            (path / name).write_text((HERE / name).read_text())
        subprocess.run(["npm", "install", "--package-lock-only", "--loglevel=error"], cwd=path, check=True)
        lock = json.loads((path / "package-lock.json").read_text())
    packages = {"": lock["packages"][""]}
    for name in [*manifest["dependencies"], *manifest["optionalDependencies"]]:
        entry = lock["packages"].get(f"node_modules/{name}")
        if entry is None or not entry.get("integrity", "").startswith("sha512-"):
            print(f"lock.py: {name} has no SHA-512 in npm's answer", file=sys.stderr)
            return 1
        packages[f"node_modules/{name}"] = {key: entry[key] for key in KEEP if key in entry}
    lock["packages"] = packages
    (HERE / "package-lock.json").write_text(json.dumps(lock, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
