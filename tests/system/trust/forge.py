#!/usr/bin/env python3
"""What a thief does with stolen keys and a stolen controller's database; the signing itself is left to `skerry repo sign`.

forge.py list FILE PATH MANIFEST      adds a target to the list in a metadata file and drops its signatures
forge.py serve DB REPOSITORY FOLDER   makes a controller's database serve the metadata files of a folder
forge.py desire DB PATH DIGEST        makes every device want a target in slot default
"""
import hashlib
import json
import pathlib
import sqlite3
import sys
import time


def list_target(file, path, manifest):
    content = pathlib.Path(manifest).read_bytes()
    metadata = json.loads(pathlib.Path(file).read_text())
    metadata["signed"]["targets"][path] = {
        "length": len(content),
        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "custom": {"type": "model-manifest", "release_counter": 1, "min_agent": "0.1.0"},
    }
    metadata["signatures"] = []
    pathlib.Path(file).write_text(json.dumps(metadata))


def serve(database, repository, folder):
    with sqlite3.connect(database) as store:
        for file in sorted(pathlib.Path(folder).glob("*.json")):
            stem = file.name[: -len(".json")]
            role = stem if stem == "timestamp" else stem.split(".", 1)[1]
            content = file.read_text()
            version = json.loads(content)["signed"]["version"]
            store.execute(
                "INSERT OR REPLACE INTO trust_metadata (tenant_id, repository, name, role, version, content, at_ms) "
                "VALUES ('default', ?, ?, ?, ?, ?, ?)",
                (repository, file.name, role, version, content, int(time.time() * 1000)),
            )
    store.close()


def desire(database, path, digest):
    with sqlite3.connect(database) as store:
        store.execute(
            "UPDATE desired_slots SET target = ?, manifest_digest = ?, generation = generation + 1, rollout_id = '' "
            "WHERE slot = 'default'",
            (path, digest),
        )
    store.close()


if __name__ == "__main__":
    {"list": list_target, "serve": serve, "desire": desire}[sys.argv[1]](*sys.argv[2:])
