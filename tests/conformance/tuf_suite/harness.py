"""Serves repositories on loopback and runs the client under test against them."""

import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

from simulator import Repository, canonical


VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors" / "tuf"


class StaticRepository:
    """A published repository as files, made by somebody else's tool."""

    def __init__(self, name):
        self.folder = VECTORS / name
        self.first_root = (self.folder / "initial_root.json").read_bytes()
        self.served = {file.name: [file.read_bytes()] for file in self.folder.glob("metadata/*.json")}

    def fetch(self, path):
        file = self.folder / path
        return file.read_bytes() if file.is_file() else None


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        case, _, path = self.path.lstrip("/").partition("/")
        repository = self.server.repositories.get(urllib.parse.unquote(case))
        body = repository.fetch(path) if repository else None
        if body is None:
            self.send_error(404)
            return
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            # The client hangs up where a file is longer than it may be.
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Client:
    """The program under test with its two folders: what it trusts, and what it downloaded."""

    def __init__(self, program, server, name):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="tuf-")
        self.metadata = os.path.join(self.folder, "metadata")
        self.targets = os.path.join(self.folder, "targets")
        os.mkdir(self.metadata)
        os.mkdir(self.targets)
        self.server = server
        self.name = name
        self.serve(Repository())
        base = f"http://127.0.0.1:{server.server_address[1]}/{urllib.parse.quote(name, '')}"
        self.metadata_url = base + "/metadata/"
        self.targets_url = base + "/targets/"
        self.first_root = self.repo.newest("root")
        self.complaints = ""

    def serve(self, repository):
        self.repo = repository
        self.server.repositories[self.name] = repository

    def close(self):
        shutil.rmtree(self.folder)

    def _run(self, arguments, at=None):
        command = [self.program, *arguments]
        if at is not None:
            command = ["faketime", at.strftime("%Y-%m-%d %H:%M:%S UTC"), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.complaints += done.stderr
        assert done.returncode in (0, 1), f"exit code {done.returncode}: {done.stderr}"
        self._check_folders()
        return done.returncode == 0

    def _check_folders(self):
        """Only verified targets ever appear: each file has a hash that some role signed."""
        signed = {
            digest
            for served in self.repo.served.values()
            for document in served
            for target in json.loads(document)["signed"].get("targets", {}).values()
            for digest in target["hashes"].values()
        }
        for name in os.listdir(self.targets):
            with open(os.path.join(self.targets, name), "rb") as file:
                data = file.read()
            hashes = {hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest()}
            assert hashes & signed, f"{name} was never signed"

    def init(self, root=None):
        path = os.path.join(self.folder, "initial_root.json")
        with open(path, "wb") as file:
            file.write(root or self.first_root)
        return self._run(["--metadata-dir", self.metadata, "init", path])

    def refresh(self, at=None):
        where = ["--metadata-url", self.metadata_url, "--metadata-dir", self.metadata]
        return self._run([*where, "refresh"], at)

    def download(self, *names, at=None):
        arguments = ["--metadata-url", self.metadata_url, "--metadata-dir", self.metadata]
        for name in names:
            arguments += ["--target-name", name]
        arguments += ["--target-dir", self.targets, "--target-base-url", self.targets_url]
        return self._run([*arguments, "download"], at)

    def trusted(self):
        """{role: version} of every *.json that the client keeps."""
        out = {}
        for name in sorted(os.listdir(self.metadata)):
            if name.endswith(".json"):
                with open(os.path.join(self.metadata, name), "rb") as file:
                    out[name[: -len(".json")]] = json.load(file)["signed"]["version"]
        return out

    def kept(self, role):
        with open(os.path.join(self.metadata, f"{role}.json"), "rb") as file:
            return file.read()

    def downloaded(self):
        """Contents of all downloaded files, oldest first."""
        paths = [os.path.join(self.targets, name) for name in os.listdir(self.targets)]
        out = []
        for path in sorted(paths, key=os.path.getmtime):
            with open(path, "rb") as file:
                out.append(file.read())
        return out


def versions(root, snapshot, targets, timestamp):
    return {"root": root, "snapshot": snapshot, "targets": targets, "timestamp": timestamp}


CASES = []


def case(*parameters):
    """Registers a function as cases: one, or one per ("id", value...) tuple."""

    def register(function):
        name = "test_" + function.__name__
        if not parameters:
            CASES.append((name, lambda client: function(client)))
        for identity, *values in parameters:
            CASES.append(
                (
                    f"{name}[{identity}]",
                    lambda client, values=values: function(client, *values),
                )
            )
        return function

    return register


__all__ = ["CASES", "Client", "Server", "StaticRepository", "canonical", "case", "versions"]
