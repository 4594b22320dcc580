#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets manifest, model_reference and chunk_index."""

import base64
import copy
import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write(target, name, data):
    folder = HERE / target / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def layer(name, content):
    whole = hashlib.sha256(content).digest()
    return {
        "annotations": {
            "dev.skerry.chunk-size": "1048576",
            "dev.skerry.chunks": digest(whole),
            "org.cncf.model.filepath": name,
        },
        "digest": digest(content),
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "size": len(content),
    }


def manifest():
    config = b'{"config":{},"descriptor":{},"modelfs":{"diffIds":[],"type":"layers"}}'
    weights, golden = b"weights", b"golden"
    return {
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "data": base64.b64encode(config).decode(),
            "digest": digest(config),
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "size": len(config),
        },
        "layers": [layer("m.gguf", weights), layer("golden.jsonl", golden)],
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "schemaVersion": 2,
        "skerry": {
            "activation": {"golden_min_pass": 0.9, "probation_seconds": 60, "swap_mode": "unload_first"},
            "description": "a model",
            "format": 1,
            "model": "acme/log-triage",
            "prefer": ["q4_k_m"],
            "release_counter": 3,
            "shared": [{"digest": digest(golden), "name": "golden.jsonl", "role": "golden"}],
            "variants": [
                {
                    "files": [{"digest": digest(weights), "name": "m.gguf", "role": "weights"}],
                    "format": "gguf",
                    "name": "q4_k_m",
                    "needs": {"accelerator": "cpu", "isa": ["avx2"], "ram": 1000},
                    "quality": {"accuracy": 0.93, "tokens_per_second": 118},
                    "runtime": {"min_version": "0.5.0", "plugin": "llamacpp"},
                }
            ],
            "version": "1.2.0",
        },
    }


def edited(path, value):
    document = copy.deepcopy(manifest())
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return canonical(document)


def main():
    good = canonical(manifest())
    write("manifest", "good.json", good)
    write("manifest", "truncated.json", good[: len(good) // 2])
    write("manifest", "trailing.json", good + b" x")
    write("manifest", "not_utf8.json", good.replace(b"a model", b"a \xff\xfe"))
    write("manifest", "duplicate_key.json", good.replace(b'"format":1', b'"format":1,"format":1'))
    write("manifest", "deep.json", b"[" * 3000)
    write("manifest", "deep_member.json", edited(["skerry", "description"], [[[[[[[[[[[[[[1]]]]]]]]]]]]]]))
    write("manifest", "empty_object.json", b"{}")
    write("manifest", "traversal.json", edited(["skerry", "variants", 0, "files", 0, "name"], "../../x"))
    write("manifest", "wrong_type.json", edited(["skerry", "variants"], {}))
    write("manifest", "negative.json", edited(["skerry", "variants", 0, "needs", "ram"], -1))
    write("manifest", "huge_number.json", edited(["skerry", "release_counter"], 10**30))
    write("manifest", "float_number.json", edited(["skerry", "variants", 0, "quality", "accuracy"], 1e308))
    write("manifest", "zero_size.json", edited(["layers", 0, "size"], 0))
    write("manifest", "no_layers.json", edited(["layers"], []))
    write("manifest", "long_text.json", edited(["skerry", "description"], "x" * 5000))
    write("manifest", "annotations.json", edited(["annotations"], {"k": "v"}))

    references = [
        "default", "default@q8_0", "acme/log-triage", "acme/log-triage:1.2.0", "acme/log-triage:1.2.0-rc.1@q4_k_m",
        "", "/", "@", ":", "a/b/c", "../..", "a/b@c@d", "a/b:1.0.0:2", "A/B", "a" * 400, "a/\u00e9", "a/b\0c",
        "1.2.3", "v1.18", "1.2.3-01", "models/acme/log-triage/1.2.0", "models//x/1.0.0", "models/a/b/c/1.0.0",
    ]
    for number, text in enumerate(references):
        write("model_reference", f"{number:02}.txt", text.encode())

    def index(size, chunk_size, chunks):
        return struct.pack("<QI", size, chunk_size) + b"".join(hashlib.sha256(bytes([i])).digest() for i in range(chunks))

    kib = 1024
    write("chunk_index", "one", index(1000, 256 * kib, 1))
    write("chunk_index", "three", index(3 * 1024 * kib - 5, 1024 * kib, 3))
    write("chunk_index", "exact", index(2 * 1024 * kib, 1024 * kib, 2))
    write("chunk_index", "short", index(3 * 1024 * kib, 1024 * kib, 2))
    write("chunk_index", "long", index(1024 * kib, 1024 * kib, 2))
    write("chunk_index", "odd_length", index(1024 * kib, 1024 * kib, 1) + b"x")
    write("chunk_index", "no_power_of_two", index(1000, 300 * kib, 1))
    write("chunk_index", "zero", index(0, 1024 * kib, 0))
    write("chunk_index", "huge", index(2**63, 256 * kib, 1))
    write("chunk_index", "overflow", index(2**64 - 1, 16 * 1024 * kib, 1))
    write("chunk_index", "header_only", b"\0" * 5)


if __name__ == "__main__":
    main()
