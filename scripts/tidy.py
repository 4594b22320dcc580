#!/usr/bin/env python3
"""clang-tidy 14 over `changed` or `all` C++ files; the static analyzer, four fifths of the time, over the changed ones only.

The commands come from a configuration of its own (build/tidy, never built), with the generated sources of build/release:
`changed` goes file by file, `all` by the batches that the release build compiles, which reads the headers once for eight
files. They are GCC's: what clang does not know (precompiled headers, ccache) is taken out first.

A file found clean is remembered in build/tidy/clean under a digest of everything of ours that it was checked with: itself,
the project's headers it reaches, its command, .clang-tidy and the tool's version. System headers are not part of it.
"""
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY = ROOT / "build/tidy"
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
        elif word == entry["file"]:
            kept.append(word)
        elif not word.startswith("--param=") and word not in ("-Winvalid-pch", "-fpch-preprocess", "-Werror", "-fstack-clash-protection"):
            kept.append(word.replace(str(TIDY), str(ROOT / "build/release")))
    return {"directory": entry["directory"], "file": entry["file"], "arguments": kept}


@functools.lru_cache(maxsize=None)
def read(path):
    """A file's digest and what it includes in quotes."""
    data = pathlib.Path(path).read_bytes()
    return hashlib.sha256(data).hexdigest(), tuple(re.findall(rb'^\s*#\s*include\s+"([^"]+)"', data, re.M))


@functools.lru_cache(maxsize=None)
def find(name, folders):
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(path):
            return path
    return None


def fingerprint(entry, salt):
    folders = [word[2:] for word in entry["arguments"] if word.startswith("-I") and len(word) > 2]
    folders += [entry["arguments"][i + 1] for i, word in enumerate(entry["arguments"][:-1]) if word in ("-I", "-isystem")]
    folders = tuple(folder for folder in folders if folder.startswith(str(ROOT)))
    seen, queue = {}, [entry["file"]]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen[path], includes = read(path)
        found = (find(name.decode(), (os.path.dirname(path), *folders)) for name in includes)
        queue += [other for other in found if other]
    text = json.dumps([salt, entry["arguments"], sorted(seen.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def main():
    scope = sys.argv[1] if len(sys.argv) > 1 else "changed"
    if not (ROOT / "build/release/proto/gen").exists():
        print("clang-tidy needs the generated sources: run 'make build'")
        return 1
    batches = scope == "all"
    configured = subprocess.run(["cmake", "--preset", "release", "-B", TIDY, f"-DSKERRY_UNITY={'ON' if batches else 'OFF'}"],
                                cwd=ROOT, capture_output=True, text=True)
    if configured.returncode != 0:
        print(configured.stderr)
        return 1
    database = TIDY / "compile_commands.json"
    entries = [clean(entry) for entry in json.loads(database.read_text())]
    database.write_text(json.dumps(entries))
    # A batch lies in the build folder of its module.
    known = {os.path.relpath(entry["file"], ROOT).removeprefix("build/tidy/"): entry for entry in entries}
    wanted = known.keys() if batches else known.keys() & changed_files()
    wanted = sorted(name for name in wanted if name.startswith(MODULES) and os.path.exists(known[name]["file"]))
    version = subprocess.run(["clang-tidy-14", "--version"], capture_output=True, text=True).stdout
    options = []
    if batches:
        options = ["--checks=-clang-analyzer-*,-bugprone-suspicious-include",
                   f"--header-filter=.*/({'|'.join(module.rstrip('/') for module in MODULES)})/.*\\.(hpp|cpp)$"]
    salt = [version, (ROOT / ".clang-tidy").read_text(), options]
    remembered = TIDY / "clean"
    remembered.mkdir(exist_ok=True)

    def tidy(name):
        mark = remembered / fingerprint(known[name], salt)
        if mark.exists():
            return 0, ""
        run = subprocess.run(["clang-tidy-14", "--quiet", *options, "-p", str(TIDY), known[name]["file"]],
                             capture_output=True, text=True, cwd=ROOT)
        # What the analyzer says of a system header's own lines is about the library, not about us.
        ours = [line for line in run.stdout.splitlines() if re.match(r"/.*: (error|warning): ", line) and not line.startswith("/usr/")]
        code = 1 if ours or (run.returncode and not run.stdout) else 0
        if code == 0:
            mark.touch()
        return code, run.stdout + (run.stderr if code and not ours else "")

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, output in pool.map(tidy, wanted):
            if code:
                failed += 1
                print(output)
    if failed:
        print(f"clang-tidy: {failed} of {len(wanted)} {'batches' if batches else 'files'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
