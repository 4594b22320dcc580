#!/usr/bin/env python3
"""From the COMMIT that makes a model live to its first answer, through a real gateway: p50 and p99.

bench/activation/activation.py BIN_FOLDER [--rounds N] [--shape tiny]

Two models of the same shape and other weights take turns in one slot of a gateway without a fleet, while one client asks that slot without
a pause, one token at a time, on the HTTP socket. The worker of the new model is warm by then: the gate has loaded it and asked it. The
COMMIT is dated by the registry itself (`slot_change.at`, milliseconds, taken as the transaction begins), so what is printed contains the
transaction, what was still being answered by the old model, and the first whole answer of the new one. Rows: how long that takes; how
long an answer takes when nothing changes; requests that failed (none may).
"""

import argparse
import http.client
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

SLOT = "bench"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Client(threading.Thread):
    """Asks the slot again and again; keeps when each answer was whole, how long it took and which model gave it."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.connection = UnixConnection(path)
        self.answers = []
        self.failures = []
        self.over = False

    def run(self):
        body = json.dumps({"model": SLOT, "prompt": "a", "max_tokens": 1})
        while not self.over:
            began = time.time()
            self.connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            text = response.read()
            ended = time.time()
            if response.status == 200:
                self.answers.append((ended, ended - began, json.loads(text)["model"]))
            else:
                self.failures.append(text[:200].decode(errors="replace"))

    def first_of(self, model, after, seconds=30):
        """When the first answer of `model` after that moment was whole."""
        limit = time.time() + seconds
        seen = 0
        while time.time() < limit:
            for ended, _, by in self.answers[seen:]:
                if ended >= after and model in by:
                    return ended
            seen = max(0, len(self.answers) - 1)
            time.sleep(0.002)
        raise RuntimeError(f"no answer of {model}; last {self.answers[-3:]}, failed {self.failures[-3:]}")


class Gateway:
    def __init__(self, binaries, folder, shape):
        self.binaries, self.folder = binaries, folder
        self.names = []
        (folder / "skerryd.toml").write_text(
            f'state_dir = "{folder}/state"\n[listen]\napi_socket = "{folder}/api.sock"\nadmin_socket = "{folder}/admin.sock"\n'
            f'http_socket = "{folder}/http.sock"\nadmin_group = ""\n[runtime]\nsandbox = "best_effort"\nworker_user = ""\nthreads = 1\n'
            '[activation]\ndisk_reserve = "16MiB"\nprobation_seconds = 0\nprobation_requests = 0\n'
        )
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen([binaries / "skerryd", "--config", folder / "skerryd.toml"], stderr=self.log)
        self.wait(lambda: self.skerry("status", check=False).returncode == 0, "the gateway answers")
        for number in (1, 2):
            file = folder / f"{number}.gguf"
            program = binaries / "skerry-bench-random-model"
            subprocess.run([program, "--shape", shape, "--type", "q8_0", "--seed", str(number), file], check=True, capture_output=True)
            name = f"local/number-{number}"
            self.skerry("model", "import", file, "--name", f"{name}:1.0.0")
            self.skerry("model", "vouch", name)
            self.names.append(name)

    def skerry(self, *words, check=True):
        sockets = {"SKERRY_API_SOCKET": f"{self.folder}/api.sock", "SKERRY_ADMIN_SOCKET": f"{self.folder}/admin.sock"}
        done = subprocess.run([self.binaries / "skerry", *words], env=os.environ | sockets, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stdout}{done.stderr}{(self.folder / 'log').read_text()[-2000:]}")
        return done

    def wait(self, condition, what, seconds=30):
        limit = time.time() + seconds
        while not condition():
            if time.time() > limit:
                raise RuntimeError(f"{what}: waited in vain\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def activate(self, model):
        self.skerry("model", "activate", model, "--slot", SLOT)

    def rests(self):
        """The trial is over: the next activation may begin."""
        slots = json.loads(self.skerry("slots", "--json").stdout)["slots"]
        return next(slot["state"] for slot in slots if slot["slot"] == SLOT) == "COMMITTED"

    def committed(self):
        """When the slot changed last, by its own record."""
        with sqlite3.connect(f"file:{self.folder}/state/registry.db?mode=ro", uri=True) as database:
            query = "SELECT max(at) FROM slot_change WHERE slot = ? AND action LIKE 'activate%'"
            return database.execute(query, (SLOT,)).fetchone()[0] / 1000

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(name, seconds):
    print(f"{name:48} n={len(seconds):5}  p50 {percentile(seconds, 0.5) * 1e3:7.1f} ms  p99 {percentile(seconds, 0.99) * 1e3:7.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--shape", default="tiny")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; two models of the shape {options.shape}, q8_0, one thread")
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(options.bin.resolve(), pathlib.Path(folder), options.shape)
        try:
            gateway.activate(gateway.names[0])
            client = Client(f"{folder}/http.sock")
            client.start()
            client.first_of(gateway.names[0], 0)
            taken = []
            for number in range(1, options.rounds + 1):
                model = gateway.names[number % 2]
                gateway.wait(gateway.rests, "the trial is over")
                gateway.activate(model)
                commit = gateway.committed()
                taken.append(client.first_of(model, commit) - commit)
            client.over = True
            client.join(60)
        finally:
            gateway.stop()
    report("COMMIT to the first whole answer", taken)
    report("an answer of one token, all the while", [took for _, took, _ in client.answers])
    print(f"requests that failed: {len(client.failures)} of {len(client.answers) + len(client.failures)}")
    if client.failures:
        print("\n".join(client.failures[:3]))
        raise SystemExit(1)


if __name__ == "__main__":
    main()
