#!/usr/bin/env python3
"""Packs a model of the null runtime as `skerry model pack` packs real ones: it echoes.

make_echo.py OUT VERSION RELEASE_COUNTER [SIZE]
"""

import base64
import hashlib
import json
import pathlib
import sys

CHUNK = 1 << 20


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def main():
    out, version, counter = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 3_000_000
    seed = hashlib.sha256(f"{version} {counter}".encode()).digest()
    weights = (seed * (size // len(seed) + 1))[:size]
    index = b"".join(hashlib.sha256(weights[at : at + CHUNK]).digest() for at in range(0, size, CHUNK))
    blobs = out / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for content in (weights, index):
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    config = canonical(
        {
            "config": {"format": "null"},
            "descriptor": {"name": "acme/echo", "title": "", "version": version},
            "modelfs": {"diffIds": [digest(weights)], "type": "layers"},
        }
    )
    manifest = {
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "data": base64.b64encode(config).decode(),
            "digest": digest(config),
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "size": len(config),
        },
        "layers": [
            {
                "annotations": {
                    "dev.skerry.chunk-size": str(CHUNK),
                    "dev.skerry.chunks": digest(index),
                    "org.cncf.model.filepath": "echo.bin",
                },
                "digest": digest(weights),
                "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                "size": size,
            }
        ],
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "schemaVersion": 2,
        "skerry": {
            "activation": {"probation_seconds": 1},
            "format": 1,
            "model": "acme/echo",
            "release_counter": counter,
            "variants": [
                {
                    "files": [{"digest": digest(weights), "name": "echo.bin", "role": "weights"}],
                    "format": "null",
                    "name": "raw",
                    "needs": {"accelerator": "cpu", "ram": 1 << 20},
                    "runtime": {"min_version": "0.0.0", "plugin": "null"},
                }
            ],
            "version": version,
        },
    }
    (out / "manifest.json").write_bytes(canonical(manifest))


if __name__ == "__main__":
    main()
