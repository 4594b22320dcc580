#!/usr/bin/env python3
"""Makes a model of every kind that `skerry model import` reads, out of the two example models, and some that it must refuse.

    sources.py LOG_TRIAGE.gguf VIBRATION.onnx FOLDER
"""
import hashlib
import io
import json
import os
import struct
import sys
import tarfile

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # GGUF value types of fixed size
ALIGNMENT = 32


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


class Gguf:
    """A GGUF v3 file as its raw keys and its tensors with their bytes."""

    def __init__(self, data):
        self.data, self.at = data, 24
        _, _, tensors, keys = struct.unpack("<4sIQQ", data[:24])
        self.keys = [self.key() for _ in range(keys)]
        infos = [self.info() for _ in range(tensors)]
        start = -(-self.at // ALIGNMENT) * ALIGNMENT
        offsets = [offset for _, _, offset in infos] + [len(data) - start]
        self.tensors = [(name, shape, data[start + offset:start + end])
                        for (name, shape, offset), end in zip(infos, offsets[1:])]

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def string(self):
        return self.take(struct.unpack("<Q", self.take(8))[0])

    def key(self):
        start = self.at
        self.string()
        self.value(struct.unpack("<I", self.take(4))[0])
        return self.data[start:self.at]

    def value(self, kind):
        if kind == 8:
            self.string()
        elif kind == 9:
            inner, count = struct.unpack("<IQ", self.take(12))
            for _ in range(count):
                self.value(inner)
        else:
            self.take(SIZES[kind])

    def info(self):
        name, start = self.string(), self.at
        self.take(8 * struct.unpack("<I", self.take(4))[0] + 4)
        return name, self.data[start:self.at], struct.unpack("<Q", self.take(8))[0]


def text(value):
    return struct.pack("<Q", len(value)) + value


def gguf(keys, tensors):
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys)
    offset = 0
    for name, shape, data in tensors:
        head += text(name) + shape + struct.pack("<Q", offset)
        offset += len(data)
    return head + bytes(-len(head) % ALIGNMENT) + b"".join(data for _, _, data in tensors)


def split(model, count):
    """The parts as gguf-split writes them: every key in the first, the tensors over all."""
    tensors, parts = model.tensors, []
    for number in range(count):
        share = tensors[number * len(tensors) // count:(number + 1) * len(tensors) // count]
        keys = [text(b"split.no") + struct.pack("<IH", 2, number), text(b"split.count") + struct.pack("<IH", 2, count),
                text(b"split.tensors.count") + struct.pack("<Ii", 5, len(tensors))]
        parts.append(gguf((model.keys if number == 0 else []) + keys, share))
    return parts


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """(number, raw field, content) of a protobuf message."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        start = at
        tag = number()
        content = None
        if tag & 7 == 0:
            number()
        elif tag & 7 == 2:
            size = number()
            content = data[at:at + size]
            at += size
        else:
            at += 8 if tag & 7 == 1 else 4
        yield tag >> 3, data[start:at], content


def external(onnx, location):
    """The model with its larger weights in another file, as `onnx.save_model(save_as_external_data=True)` writes it."""
    weights = b""

    def tensor(data):
        nonlocal weights
        parts = list(fields(data))
        raw = next((content for number, _, content in parts if number == 9), b"")
        if len(raw) < 1024:
            return data
        weights += bytes(-len(weights) % 4096)
        where = [("location", location), ("offset", str(len(weights))), ("length", str(len(raw)))]
        weights += raw
        return (b"".join(whole for number, whole, _ in parts if number != 9) +
                b"".join(field(13, field(1, key.encode()) + field(2, value.encode())) for key, value in where) + field(14, 1))

    def graph(data):
        return b"".join(field(5, tensor(content)) if number == 5 else whole for number, whole, content in fields(data))
    model = b"".join(field(7, graph(content)) if number == 7 else whole for number, whole, content in fields(onnx))
    return model, weights


def ollama(folder, name, layers):
    listed = []
    for kind, content in layers:
        digest = hashlib.sha256(content).hexdigest()
        write(f"{folder}/blobs/sha256-{digest}", content)
        listed.append({"mediaType": "application/vnd.ollama.image." + kind, "digest": "sha256:" + digest, "size": len(content)})
    write(f"{folder}/manifests/registry.ollama.ai/library/{name}",
          json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": listed}))
    return listed


def oci(folder, layers):
    """A layout with one image; layers are (media type, content)."""
    def blob(media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        write(f"{folder}/blobs/sha256/{digest}", content)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": blob("application/vnd.oci.image.config.v1+json", b"{}"),
                           "layers": [blob(kind, content) for kind, content in layers]}).encode()
    write(f"{folder}/oci-layout", '{"imageLayoutVersion": "1.0.0"}')
    write(f"{folder}/index.json", json.dumps({"schemaVersion": 2, "manifests": [
        blob("application/vnd.oci.image.manifest.v1+json", manifest)]}))


def tar(path, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def good(triage, vibration, out):
    write(f"{out}/triage-f16.gguf", triage)
    for number, part in enumerate(split(Gguf(triage), 3)):
        write(f"{out}/split/triage-f16-{number + 1:05}-of-00003.gguf", part)
    ollama(f"{out}/ollama", "triage/latest",
           [("model", triage), ("template", b"{{ .Prompt }}"), ("params", b'{"temperature": 0}'), ("license", b"Apache-2.0")])
    ollama(f"{out}/ollama", "triage/small", [("model", triage)])
    model, weights = external(vibration, "vibration.onnx.data")
    write(f"{out}/onnx/vibration.onnx", model)
    write(f"{out}/onnx/vibration.onnx.data", weights)
    write(f"{out}/onnx/README.md", "# vibration")
    write(f"{out}/olive/model_config.json", json.dumps(
        {"type": "ONNXModel", "config": {"model_path": "/builds/7/out/model", "onnx_file_name": "vibration.onnx"}}))
    write(f"{out}/olive/model/vibration.onnx", model)
    write(f"{out}/olive/model/vibration.onnx.data", weights)
    write(f"{out}/ort/manifest.json", json.dumps(
        {"schema_version": "1.0", "package_name": "vibration package", "components": {"classifier": "classifier"}}))
    write(f"{out}/ort/classifier/component.json", json.dumps({"variants": {
        "cpu": {"ep": "CPUExecutionProvider", "device": "cpu", "executor_info": {"ort": "ort_info.json"}},
        "cuda": {"ep": "CUDAExecutionProvider", "device": "gpu"}}}))
    write(f"{out}/ort/classifier/cpu/ort_info.json", '{"model_file": "net.onnx"}')
    write(f"{out}/ort/classifier/cpu/net.onnx", vibration)


def hostile(triage, vibration, out):
    write(f"{out}/secret.bin", bytes(4096))
    model, _ = external(vibration, "../secret.bin")
    write(f"{out}/hostile/onnx-traversal/model.onnx", model)
    model, _ = external(vibration, f"{out}/secret.bin")
    write(f"{out}/hostile/onnx-absolute/model.onnx", model)
    os.makedirs(f"{out}/hostile/link")
    os.symlink(f"{out}/triage-f16.gguf", f"{out}/hostile/link/triage.gguf")
    layers = ollama(f"{out}/hostile/ollama-digest", "x/latest", [("model", triage)])
    layers[0]["digest"] = "sha256:../../../../" + "secret.bin"
    write(f"{out}/hostile/ollama-digest/manifests/registry.ollama.ai/library/x/latest",
          json.dumps({"schemaVersion": 2, "layers": layers}))
    swapped = ollama(f"{out}/hostile/ollama-swapped", "x/latest", [("model", triage)])
    name = swapped[0]["digest"].replace(":", "-")
    write(f"{out}/hostile/ollama-swapped/blobs/{name}", triage[:-1] + b"\1")
    oci(f"{out}/hostile/oci-tar", [("application/vnd.oci.image.layer.v1.tar", tar("../../evil.gguf", triage))])
    write(f"{out}/hostile/cut/model.gguf", triage[:100000])
    write(f"{out}/hostile/ort-path/manifest.json", json.dumps({"schema_version": "1.0", "components": {"net": {"variants": {
        "cpu": {"executor_info": {"ort": {"model_file": "../../secret.bin"}}}}}}}))


def large(triage, out):
    """A model of 512 MiB that can be loaded nowhere: enough to be interrupted while it is copied."""
    model = Gguf(triage)
    rows = 512 * 1024
    shape = struct.pack("<IQQI", 2, 256, rows, 0)
    head = gguf(model.keys, [(b"large.weight", shape, b"")])
    os.makedirs(out, exist_ok=True)
    with open(f"{out}/large-f32.gguf", "wb") as file:
        file.write(head)
        file.truncate(len(head) + rows * 256 * 4)


def main():
    with open(sys.argv[1], "rb") as file:
        triage = file.read()
    with open(sys.argv[2], "rb") as file:
        vibration = file.read()
    good(triage, vibration, sys.argv[3])
    hostile(triage, vibration, sys.argv[3])
    large(triage, f"{sys.argv[3]}/large")


if __name__ == "__main__":
    main()
