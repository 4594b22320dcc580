#!/usr/bin/env python3
"""Counts test cases of one ctest run and prints `N passed, N failed, N skipped`, with the reason of every skip.

A GoogleTest program counts by its XML report, a script that prints TAP ("ok 1 - name", "not ok", "# SKIP why") by its
lines, anything else as one. usage: test-summary.py RESULTS_DIR
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

TAP = re.compile(r"^(not )?ok\b(?: \d+)?(?: - )?(.*?)(?:\s*# SKIP\b:?\s*(.*))?$", re.MULTILINE)


def gtest_cases(path):
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            yield name, "failed", ""
        elif skipped is not None:
            message = (skipped.get("message") or skipped.text or "").strip().splitlines()
            reason = [line for line in message if not re.match(r"^\S+:\d+$|^Skipped$", line.strip())]
            yield name, "skipped", " ".join(reason)
        elif case.get("status") != "notrun" and case.get("result") != "suppressed":
            yield name, "passed", ""


def program_cases(case):
    """Cases of a ctest entry that is not a GoogleTest program."""
    name, status = case.get("name"), case.get("status")
    output = case.findtext("system-out") or ""
    tap = [m for m in TAP.finditer(output)]
    for match in tap:
        label = f"{name}: {match.group(2)}"
        if match.group(3) is not None:
            yield label, "skipped", match.group(3)
        else:
            yield label, "failed" if match.group(1) else "passed", ""
    if tap and status == "fail" and not any(m.group(1) for m in tap):
        yield name, "failed", ""
    if not tap:
        kind = {"run": "passed", "fail": "failed"}.get(status, "skipped")
        yield name, kind, output.strip().splitlines()[-1] if kind == "skipped" and output.strip() else ""


def main():
    results = pathlib.Path(sys.argv[1])
    reports = {}
    for path in sorted(results.glob("*.xml")):
        try:
            cases = list(gtest_cases(path))
        except ET.ParseError:
            cases = [(path.stem, "failed", "unreadable report")]
        # GoogleTest numbers a second report of the same program: name_1.xml.
        reports.setdefault(re.sub(r"_\d+$", "", path.stem), []).extend(cases)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    skips, failures = [], []

    def add(cases):
        for name, kind, reason in cases:
            counts[kind] += 1
            if kind == "skipped":
                skips.append(f"  skipped {name}: {reason or 'no reason given'}")
            elif kind == "failed":
                failures.append(f"  FAILED  {name}")

    programs = list(ET.parse(results / "ctest.junit").getroot().iter("testcase"))
    for program in programs:
        cases = reports.pop(program.get("name"), None)
        if cases is None:
            add(program_cases(program))
            continue
        add(cases)
        if program.get("status") == "fail" and not any(kind == "failed" for _, kind, _ in cases):
            add([(f"{program.get('name')} (the program itself)", "failed", "")])
    for cases in reports.values():
        add(cases)
    for line in skips + failures:
        print(line)
    print(f"tests: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or counts["passed"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
