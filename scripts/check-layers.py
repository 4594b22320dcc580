#!/usr/bin/env python3
"""Compares every `#include "skerry/<module>/…"` with cmake/layers.txt.

Lower never includes higher, and a module includes another of its own level only where the table says so. The compiler
enforces most of it already (one include root per module); this sees tests, benches and generated headers too.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]((skerry|inference)/([^"/>]+)[^">]*)[">]')


def layers():
    table = {}
    for line in (ROOT / "cmake/layers.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            module, _, allowed = line.partition(":")
            table[module.strip()] = set(allowed.split())
    return table


def main():
    table = layers()
    bad = []
    for module, allowed in table.items():
        for other in allowed:
            if other not in table:
                bad.append(f"cmake/layers.txt: {module} may use {other}, which is not a module")
            elif module in table[other]:
                bad.append(f"cmake/layers.txt: {module} and {other} include each other")
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", "*.cpp", "*.hpp", "*.h"], cwd=ROOT,
                           check=True, capture_output=True, text=True).stdout.split()
    for name in names:
        module = name.split("/")[0]
        path = ROOT / name
        if module not in table or not path.exists():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = "proto" if match.group(1).endswith(".pb.h") else match.group(3)
            if target == "test" and module in ("tests", "bench"):
                continue
            if target != module and target not in table[module]:
                bad.append(f"{name}:{number}: {module} may not include {target} (cmake/layers.txt)")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
