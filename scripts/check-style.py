#!/usr/bin/env python3
"""House rules that a compiler does not know: file lengths, words that may not appear, sleeping unit tests.

Length: a source file warns at 400 lines and fails at 600 (tests fail at 900). `detached` coroutines, the Asio umbrella
header, sleeping in unit tests and notes that name no issue are errors.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = {".cpp", ".hpp", ".h"}
RULES = [
    # pattern, where it applies (prefix), what to do instead
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))"), "", "name an issue: TODO(#123), or do it"),
    (re.compile(r"\basio::detached\b|[(,]\s*detached\b"), "", "spawn into a TaskGroup whose owner waits"),
    (re.compile(r"#\s*include\s+<boost/asio\.hpp>"), "", "include the Asio headers that are used, never the umbrella"),
    (re.compile(r"\bsleep_for\b|\bsleep_until\b|\busleep\b|::sleep\("), "tests/unit/", "unit tests never sleep: FakeClock"),
    (re.compile(r"\bsystem_clock::now\b|\bsteady_clock::now\b"), "tests/unit/", "unit tests never read the clock: FakeClock"),
    (re.compile(r"\busing namespace (?!std::(chrono_|string_|string_view_)?literals)"), "", "no using namespace"),
]


def main():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.splitlines()
    bad, warnings = [], []
    for name in names:
        path = ROOT / name
        if path.suffix not in SOURCE or not path.exists():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        limit = 900 if name.startswith(("tests/", "bench/")) else 600
        if len(lines) > limit:
            bad.append(f"{name}: {len(lines)} lines, at most {limit}: split it by idea")
        elif len(lines) > 400 and limit == 600:
            warnings.append(f"warning: {name}: {len(lines)} lines, aim below 400")
        for number, line in enumerate(lines, 1):
            for pattern, where, advice in RULES:
                if name.startswith(where) and pattern.search(line):
                    bad.append(f"{name}:{number}: {advice}: {line.strip()[:80]}")
        if path.suffix == ".hpp" and "#pragma once" not in lines[:3]:
            bad.append(f"{name}: a header starts with #pragma once")
    print("\n".join(bad + warnings))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
