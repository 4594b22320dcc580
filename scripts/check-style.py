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
CODE = ("common/", "async/", "security/", "registry/", "runtime/", "agent/", "controller/", "cli/")
RULES = [
    # pattern, where it applies (prefixes, suffixes), what to do instead
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))"), ("",), tuple(SOURCE), "name an issue: TODO(#123), or do it"),
    (re.compile(r"\basio::detached\b"), CODE, tuple(SOURCE), "spawn into a TaskGroup whose owner waits"),
    (re.compile(r"#\s*include\s+<boost/asio\.hpp>"), ("",), tuple(SOURCE), "include the Asio headers that are used"),
    (re.compile(r"\bthis_thread::sleep_|\busleep\(|[^_]::sleep\("), ("tests/unit/",), tuple(SOURCE),
     "unit tests never sleep: FakeClock"),
    # A deadline handed to gRPC is absolute real time; nothing else of a unit test is.
    (re.compile(r"^(?!.*(Shutdown|deadline|Connected)\().*\b(system|steady)_clock::now\("), ("tests/unit/",), tuple(SOURCE),
     "unit tests never read the clock: FakeClock"),
    (re.compile(r"^(?!.*NOLINT).*\busing namespace "), CODE, (".hpp",), "no using namespace in a header"),
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
            for pattern, prefixes, suffixes, advice in RULES:
                if name.startswith(prefixes) and name.endswith(suffixes) and pattern.search(line):
                    bad.append(f"{name}:{number}: {advice}: {line.strip()[:80]}")
        if path.suffix == ".hpp" and "#pragma once" not in lines[:3]:
            bad.append(f"{name}: a header starts with #pragma once")
    print("\n".join(bad + warnings))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
