#!/usr/bin/env python3
"""clang-tidy 14 over `changed` or `all` C++ files, with the compile commands of build/release.

Those commands are GCC's, so what clang does not know (precompiled headers, ccache) is taken out of a copy first.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = ("common/", "async/", "security/", "registry/", "runtime/", "agent/", "controller/", "cli/")


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()


def changed_files():
    names = set(git("ls-files", "-mo", "--exclude-standard"))
    base = git("merge-base", "HEAD", "origin/main")
    head = git("rev-parse", "HEAD")
    base = base[0] if base and base != head else "HEAD~1"
    return names | set(git("diff", "--name-only", base, "HEAD"))


def clean(entry):
    words = shlex.split(entry["command"]) if "command" in entry else list(entry["arguments"])
    compiler = next(i for i, word in enumerate(words) if re.search(r"(g|clang)\+\+(-\d+)?$|/(c\+\+|cc|gcc)$", word))
    words = words[compiler:]
    kept, skip = [], False
    for i, word in enumerate(words):
        if skip:
            skip = False
        elif word == "-include" and "cmake_pch" in words[i + 1]:
            skip = True
        elif word not in ("-Winvalid-pch", "-fpch-preprocess", "-Werror", "-fstack-clash-protection"):
            kept.append(word)
    return {"directory": entry["directory"], "file": entry["file"], "arguments": kept}


def main():
    scope = sys.argv[1] if len(sys.argv) > 1 else "changed"
    database = ROOT / "build/release/compile_commands.json"
    if not database.exists():
        print("clang-tidy needs build/release: run 'make build'")
        return 1
    folder = ROOT / "build/tidy"
    folder.mkdir(parents=True, exist_ok=True)
    entries = [clean(entry) for entry in json.loads(database.read_text())]
    (folder / "compile_commands.json").write_text(json.dumps(entries))
    known = {os.path.relpath(entry["file"], ROOT) for entry in entries}
    wanted = known if scope == "all" else known & changed_files()
    wanted = sorted(name for name in wanted if name.startswith(MODULES) and (ROOT / name).exists())

    def tidy(name):
        run = subprocess.run(["clang-tidy-14", "--quiet", "-p", str(folder), str(ROOT / name)], capture_output=True,
                             text=True, cwd=ROOT)
        return run.returncode, run.stdout

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, output in pool.map(tidy, wanted):
            if code:
                failed += 1
                print(output)
    if failed:
        print(f"clang-tidy: {failed} of {len(wanted)} files")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
