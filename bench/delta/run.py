#!/usr/bin/env python3
"""Deltas between two versions of a model, beside the tools that people use: bytes, times, memory, in one run.

bench/delta/run.py BIN_FOLDER [--folder F] [--types q8_0,q4_0,q4_k_m,q6_k] [--layers N] [--pairs all|whole|none] [--derived [q8_0,…]] [--shape S]
    [--peers zstd,xdelta3,…] [--bsdiff all|whole|never]

`whole`: the pairs in which every tensor changed. `--derived` adds another quantization of a version that is held in F16, which a
device makes itself by the recipe in the manifest; `--pairs none` leaves the others out.

Builds the pairs itself (skerry-bench-delta-pair), makes and applies each delta with one thread and checks the result
byte by byte. A peer that is not installed is named as missing. All programs run one after the other.
"""

import argparse
import filecmp
import http.server
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile
import threading
import time

PEERS = ["zstd", "zstd-one", "xdelta3", "bsdiff", "casync", "zsync", "rsync"]


class Run:
    """A command that has ended: processor seconds, wall seconds, peak memory in MB."""

    def __init__(self, *command, check=True, cwd=None):
        # Through time(1): the kernel's own figure would include this interpreter from before the exec.
        start = time.monotonic()
        with tempfile.NamedTemporaryFile() as peak:
            process = subprocess.Popen(
                ["/usr/bin/time", "-f", "%M", "-o", peak.name, *(str(part) for part in command)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=cwd,
            )
            self.wait(process, start)
            self.peak = int(peak.read().split()[-1]) / 1024
        if check and process.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {self.text[-500:]}")

    def wait(self, process, start):
        self.text = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.wall = time.monotonic() - start
        self.cpu = usage.ru_utime + usage.ru_stime


def megabytes_per_second(size, seconds):
    return f"{size / 1e6 / max(seconds, 1e-9):.0f}"


class Pair:
    def __init__(self, name, base, target, whole, derived=None):
        self.name, self.base, self.target, self.whole = name, base, target, whole
        self.size = target.stat().st_size
        self.derived = derived  # the quantizer's type, where the target is made from the base


class Bench:
    def __init__(self, options, folder):
        self.bin = pathlib.Path(options.bin)
        self.options = options
        self.folder = folder
        self.peers = [peer for peer in PEERS if peer in options.peers.split(",")]
        self.missing = [peer for peer in self.peers if shutil.which(peer.split("-")[0]) is None]
        self.rows = []

    def model(self, name, kind, *options):
        path = self.folder / name
        if not path.exists():
            Run(self.bin / "skerry-bench-delta-pair", path, kind, "--layers", self.options.layers, *options)
        return path

    def pairs(self):
        kinds = [] if self.options.pairs == "none" else self.options.types.split(",")
        for kind in kinds:
            base = self.model(f"{kind}.gguf", kind)
            if self.options.pairs == "all":
                changed = self.model("target.gguf", kind, "--metadata", 1003)
                yield Pair(f"{kind}, metadata +1003 B (all data shift)", base, changed, False)
                changed.unlink()
            for part in (0.1, 0.5, 1.0) if self.options.pairs == "all" else (1.0,):
                for relative in ("1e-3", "1e-2"):
                    changed = self.model("target.gguf", kind, "--change", part, relative)
                    yield Pair(f"{kind}, {part:.0%} of tensors, {relative}", base, changed, part == 1.0)
                    changed.unlink()
        if self.options.pairs == "all" and "q8_0" in kinds and "q4_k_m" in kinds:
            yield Pair(
                "q8_0 to q4_k_m, same weights", self.folder / "q8_0.gguf", self.folder / "q4_k_m.gguf", False
            )

        if self.options.derived:
            # A whole model, which the engine's quantizer takes: those of the pairs above are only tensors.
            base = self.folder / "f16.gguf"
            Run(self.bin / "skerry-bench-random-model", "--shape", self.options.shape, "--type", "f16", base)
            for kind in self.options.derived.split(","):
                target = self.folder / f"derived-{kind}.gguf"
                self.quantize(base, kind, target)
                yield Pair(f"{self.options.shape}: f16 held, {kind} wanted", base, target, False, kind)
                target.unlink()

    def quantize(self, base, kind, out):
        return Run(self.bin / "skerry", "model", "quantize", "--input", base, "--type", kind, "--output", out, "--threads", 1)

    def derive(self, pair):
        """What a device does with the recipe in the manifest; on the wire is the recipe alone."""
        out = self.folder / "out.gguf"
        made = self.quantize(pair.base, pair.derived, out)
        if not filecmp.cmp(out, pair.target, shallow=False):
            raise RuntimeError("the quantizer made other bytes")
        note = pathlib.Path(f"{out}.recipe")
        recipe = f'"skerry.derive.{pair.derived}":"{note.read_text().strip().split(" ", 1)[1]}",'
        out.unlink()
        note.unlink()
        return len(recipe), f"derived in {made.wall:.1f} s, {megabytes_per_second(pair.size, made.wall)} MB/s"

    def skerry(self, pair):
        if pair.derived:
            return self.derive(pair)
        delta, out = self.folder / "d.skerry", self.folder / "out"
        made = Run(self.bin / "skerry", "delta", "create", pair.base, pair.target, "-o", delta, "--threads", 1, check=False)
        if not delta.exists():
            return pair.size, "refused: the full file is smaller"
        applied = Run(self.bin / "skerry", "delta", "apply", pair.base, delta, "-o", out, "--threads", 1)
        if not filecmp.cmp(out, pair.target, shallow=False):
            raise RuntimeError("skerry delta apply made other bytes")
        size = delta.stat().st_size
        delta.unlink()
        out.unlink()
        return size, (
            f"encode {megabytes_per_second(pair.size, made.cpu)} MB/s, apply {megabytes_per_second(pair.size, applied.cpu)} MB/s, "
            f"peak {made.peak:.0f} / {applied.peak:.0f} MB"
        )

    def zstd(self, pair):
        return self.zstd_with(pair)

    def zstd_one(self, pair):
        """One job for the whole file finds far more than zstd's default of several."""
        return self.zstd_with(pair, "--single-thread")

    def zstd_with(self, pair, *options):
        delta, out = self.folder / "d.zst", self.folder / "out"
        made = Run("zstd", "-q", "-f", "-3", "--long=31", *options, f"--patch-from={pair.base}", pair.target, "-o", delta)
        applied = Run("zstd", "-q", "-f", "-d", "--long=31", "--memory=2048MB", f"--patch-from={pair.base}", delta, "-o", out)
        size = delta.stat().st_size
        delta.unlink()
        out.unlink()
        return size, f"encode {made.cpu:.1f} s, apply {megabytes_per_second(pair.size, applied.cpu)} MB/s, peak {applied.peak:.0f} MB"

    def xdelta3(self, pair):
        delta = self.folder / "d.xd3"
        made = Run("xdelta3", "-e", "-f", "-9", "-S", "lzma", "-B", "1073741824", "-s", pair.base, pair.target, delta)
        size = delta.stat().st_size
        delta.unlink()
        return size, f"encode {made.cpu:.1f} s"

    def bsdiff(self, pair):
        if self.options.bsdiff == "never" or (self.options.bsdiff == "whole" and not pair.whole):
            return None
        delta = self.folder / "d.bsdiff"
        made = Run("bsdiff", pair.base, pair.target, delta)
        size = delta.stat().st_size
        delta.unlink()
        return size, f"encode {made.cpu:.1f} s, peak {made.peak:.0f} MB"

    def casync(self, pair):
        store = self.folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        Run("casync", "make", f"--store={store}", self.folder / "b.caibx", pair.base)
        before = {path for path in store.rglob("*.cacnk")}
        made = Run("casync", "make", f"--store={store}", self.folder / "t.caibx", pair.target)
        size = sum(path.stat().st_size for path in store.rglob("*.cacnk") if path not in before)
        size += (self.folder / "t.caibx").stat().st_size
        shutil.rmtree(store)
        return size, f"encode {made.cpu:.1f} s"

    def rsync(self, pair):
        copy = self.folder / "copy"
        shutil.copy(pair.base, copy)
        run = Run("rsync", "--no-whole-file", "--stats", "-I", pair.target, copy)
        sent = int(re.search(r"Total bytes sent: ([\d,.]+)", run.text)[1].replace(",", ""))
        received = int(re.search(r"Total bytes received: ([\d,.]+)", run.text)[1].replace(",", ""))
        copy.unlink()
        return sent + received, f"{run.cpu:.1f} s"

    def zsync(self, pair):
        served = self.folder / "served"
        served.mkdir(exist_ok=True)
        shutil.copy(pair.target, served / "t")
        Run("zsyncmake", "-b", "2048", "-u", "t", "-o", served / "t.zsync", served / "t")
        with RangeServer(served) as server:
            run = Run("zsync", "-q", "-i", pair.base, "-o", self.folder / "out", f"{server.url}/t.zsync", check=False, cwd=self.folder)
            size = server.sent
        for path in (self.folder / "out", served / "t", served / "t.zsync"):
            path.unlink(missing_ok=True)
        return size, f"{run.cpu:.1f} s"

    def run(self):
        for pair in self.pairs():
            size, note = self.skerry(pair)
            print(f"\n{pair.name}: {pair.size} bytes", flush=True)
            print(f"  {'skerry':8} {size:>11} {size / pair.size:7.4f}            {note}", flush=True)
            row = {"skerry": size}
            for peer in self.peers:
                if peer in self.missing:
                    print(f"  {peer:8} missing")
                    continue
                result = getattr(self, peer.replace("-", "_"))(pair)
                if result is None:
                    print(f"  {peer:8} not run for this pair")
                    continue
                theirs, note = result
                row[peer] = theirs
                print(f"  {peer:8} {theirs:>11} {theirs / pair.size:7.4f}  ours {size / max(theirs, 1):6.3f}x  {note}", flush=True)
            self.rows.append((pair, row))
        self.table()

    def table(self):
        print("\n| pair | " + " | ".join(["skerry"] + self.peers) + " |")
        print("|---|" + "---:|" * (len(self.peers) + 1))
        for pair, row in self.rows:
            cells = []
            for peer in ["skerry"] + self.peers:
                size = row.get(peer)
                cells.append("–" if size is None else f"{size} B" if size < 20000 else f"{size / pair.size:.4f}")
            print(f"| {pair.name} | " + " | ".join(cells) + " |")


class RangeServer:
    """A folder over HTTP on loopback with byte ranges, which counts what it sends: what zsync fetches from."""

    def __init__(self, folder):
        bench = self
        self.sent = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                content = (folder / pathlib.Path(self.path).name).read_bytes()
                ranges = re.findall(r"(\d+)-(\d+)", self.headers.get("Range", ""))
                if not ranges:
                    self.answer(200, content, {})
                elif len(ranges) == 1:
                    first, last = int(ranges[0][0]), int(ranges[0][1])
                    piece = content[first : last + 1]
                    self.answer(206, piece, {"Content-Range": f"bytes {first}-{first + len(piece) - 1}/{len(content)}"})
                else:
                    parts = b""
                    for first, last in ((int(a), int(b)) for a, b in ranges):
                        piece = content[first : last + 1]
                        head = f"\r\n--cut\r\nContent-Range: bytes {first}-{first + len(piece) - 1}/{len(content)}\r\n\r\n"
                        parts += head.encode() + piece
                    self.answer(206, parts + b"\r\n--cut--\r\n", {"Content-Type": "multipart/byteranges; boundary=cut"})

            def answer(self, code, body, headers):
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                bench.sent += len(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--types", default="q8_0,q4_0,q4_k_m,q6_k")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--pairs", choices=("all", "whole", "none"), default="all")
    parser.add_argument("--peers", default=",".join(PEERS), help="those to run beside it; empty: none")
    parser.add_argument("--derived", nargs="?", const="q8_0,q4_k_m", help="also variants that the quantizer makes from held weights")
    parser.add_argument("--shape", default="qwen2.5-0.5b", help="the model of --derived, as of skerry-bench-random-model")
    parser.add_argument("--bsdiff", choices=("all", "whole", "never"), default="whole")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        Bench(options, pathlib.Path(folder)).run()


if __name__ == "__main__":
    main()
