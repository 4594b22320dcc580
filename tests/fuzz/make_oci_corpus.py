#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets oci_image and bundle."""

import base64
import hashlib
import json
import pathlib

CORPUS = pathlib.Path(__file__).parent / "oci_image" / "corpus"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def descriptor(media_type, content, **more):
    return {
        "mediaType": media_type,
        "digest": "sha256:" + hashlib.sha256(content).hexdigest(),
        "size": len(content),
        **more,
    }


def write(name, kind, document):
    text = document if isinstance(document, str) else json.dumps(document)
    (CORPUS / name).write_bytes(kind.encode() + text.encode())


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    config = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": descriptor(
            "application/vnd.cncf.model.config.v1+json", config, data=base64.b64encode(config).decode()
        ),
        "layers": [
            descriptor(
                "application/vnd.cncf.model.weight.v1.raw",
                b"weights",
                annotations={"org.cncf.model.filepath": "model.gguf"},
            )
        ],
        "subject": descriptor(MANIFEST, b"other"),
        "annotations": {"a": "\u00e9\n"},
    }
    write("manifest", "m", manifest)
    write("docker", "m", {**manifest, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
    write("manifest-wrong-data", "m", {**manifest, "config": {**manifest["config"], "data": "W10="}})
    write("manifest-no-layers", "m", {**manifest, "layers": None})
    bytes_ = json.dumps(manifest).encode()
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            descriptor(
                MANIFEST,
                bytes_,
                artifactType="x/y",
                platform={"os": "linux", "architecture": "arm64", "variant": "v8"},
                annotations={"org.opencontainers.image.ref.name": "1.0.0"},
            ),
            descriptor(INDEX, b"nested"),
        ],
    }
    write("index", "i", index)
    write("index-traversal", "i", {**index, "manifests": [{**index["manifests"][0], "digest": "sha256:../x"}]})
    write("index-sha512", "i", {**index, "manifests": [{**index["manifests"][0], "digest": "sha512:" + "a" * 128}]})
    write("index-negative", "i", {**index, "manifests": [{**index["manifests"][0], "size": -1}]})
    write("index-duplicate-key", "i", '{"schemaVersion":2,"schemaVersion":2,"manifests":[]}')
    write("marker", "l", {"imageLayoutVersion": "1.0.0"})
    write("marker-future", "l", {"imageLayoutVersion": "2.0.0"})
    directives()


def directives():
    corpus = CORPUS.parent.parent / "bundle" / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    manifest = "sha256:" + hashlib.sha256(b"m").hexdigest()
    good = {
        "format": 1,
        "id": "plant-a.7",
        "sequence": 7,
        "devices": ["gw-*", "lab1"],
        "not_after": "2027-01-01T00:00:00Z",
        "slots": {"default": {"target": "models/acme/echo/1.0.0", "manifest": manifest, "size": 1}},
        "blobs": {manifest: 1},
    }
    seeds = {
        "good": good,
        "unknown-member": {**good, "more": 1},
        "other-manifest": {**good, "blobs": {"sha256:" + "0" * 64: 1}},
        "no-devices": {**good, "devices": []},
        "far-year": {**good, "not_after": "9999-12-31T23:59:60Z"},
        "path": {**good, "id": "../x"},
    }
    for name, document in seeds.items():
        (corpus / (name + ".json")).write_text(json.dumps(document))


if __name__ == "__main__":
    main()
