#!/usr/bin/env python3
"""Documents that must agree with the code: docs/errors.md with the enum, relative links with files, module READMEs."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = ["common", "async", "proto", "security", "registry", "runtime", "agent", "controller", "cli"]
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")


def errors():
    header = (ROOT / "common/include/skerry/common/error.hpp").read_text()
    source = (ROOT / "common/src/error.cpp").read_text()
    numbers = {name: int(value, 16) for name, value in re.findall(r"\b(k\w+) = (0x[0-9a-f]+),", header)}
    texts = dict(re.findall(r"Error::Code::(k\w+), \"([a-z_]+)\"", source))
    table = {}
    for line in (ROOT / "docs/errors.md").read_text().splitlines():
        match = re.match(r"\| `(0x[0-9a-f]{2})` \| `([a-z_]+)` \| (.+) \| (.+) \|$", line)
        if match:
            table[int(match.group(1), 16)] = match.group(2)
    for name, number in numbers.items():
        if name not in texts:
            yield f"common/src/error.cpp: no text for {name}"
        elif table.pop(number, None) != texts[name]:
            yield f"docs/errors.md: no row for {number:#04x} {texts[name]}"
    for number, text in table.items():
        yield f"docs/errors.md: {number:#04x} {text} is not in error.hpp"


def links():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", "*.md"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    for name in names:
        path = ROOT / name
        if not path.exists():
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in LINK.findall(text):
            target = target.split("#")[0]
            if target and "://" not in target and not target.startswith("mailto:"):
                if not (path.parent / target).exists():
                    yield f"{name}: link to {target}, which does not exist"


def readmes():
    for module in MODULES:
        if not (ROOT / module / "README.md").exists():
            yield f"{module}/README.md is missing"


def adrs():
    seen = {}
    for path in sorted((ROOT / "docs/adr").glob("*.md")):
        number = path.name[:4]
        if number in seen:
            yield f"docs/adr: {path.name} and {seen[number]} share a number"
        seen[number] = path.name
        for section in ("Context", "Decision", "Consequences"):
            if section.lower() not in path.read_text().lower():
                yield f"docs/adr/{path.name}: no section {section}"


def main():
    problems = [*errors(), *links(), *readmes(), *adrs()]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
