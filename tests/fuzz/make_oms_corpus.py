#!/usr/bin/env python3
"""Writes the seed corpus of the fuzz target model_signature: the public vectors, their statements, and shards."""

import base64
import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "vectors" / "oms"
OUT = HERE / "model_signature" / "corpus"

OUT.mkdir(parents=True, exist_ok=True)
for path in sorted(VECTORS.rglob("*")):
    if not path.is_file() or path.suffix == ".md":
        continue
    name = "-".join(path.relative_to(VECTORS).parts)
    content = path.read_bytes()
    (OUT / name).write_bytes(content)
    if path.suffix != ".pem" and b"dsseEnvelope" in content:
        payload = base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"])
        (OUT / (name + ".statement")).write_bytes(payload)

# The shape that signers before 1.1.0 gave to shards (empty, of one and of two ranges).
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
shards = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "m", "digest": {"sha256": "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"}}],
    "predicateType": "https://model_signing/signature/v1.0",
    "predicate": {
        "serialization": {"method": "shards", "hash_type": "sha256", "allow_symlinks": True, "shard_size": 8.0,
                          "ignore_paths": [".git", "../x"]},
        "resources": [{"algorithm": "sha256-sharded-8", "digest": EMPTY, "name": "empty_file:0:0"}]}}
(OUT / "shards-empty.statement").write_text(json.dumps(shards))
# A compressed P-256 point: the generator.
(OUT / "compressed-point").write_bytes(
    bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"))
