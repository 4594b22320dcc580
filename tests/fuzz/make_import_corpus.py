#!/usr/bin/env python3
"""Writes the seed corpora of the gguf_join, tar and import_index fuzz targets. The files are committed."""
import hashlib
import io
import json
import pathlib
import struct
import tarfile

import make_model_corpus as models

HERE = pathlib.Path(__file__).resolve().parent


def put(target, name, data):
    folder = HERE / target / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def u16(value):
    return struct.pack("<H", value)


def part(number, count, tensors, keys=True):
    model = models.llama() if keys else models.Gguf()
    kept = models.Gguf()
    kept.keys = list(model.keys) if keys else []
    for name, value in (("split.no", number), ("split.count", count)):
        kept.key(name, 2, u16(value))
    for name, dims, size in tensors:
        kept.tensor(name, dims, 1, size)
    return kept.bytes()


def joined(*parts):
    out = bytes([len(parts) - 1]) + b"".join(u16(len(p)) for p in parts[:-1])
    return out + b"".join(parts)


def archive(entries, fmt=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content.decode()
            tar.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


def main():
    tensors = [("token_embd.weight", [32, 3], 192), ("output_norm.weight", [32], 64)]
    put("gguf_join", "one", joined(models.llama().bytes()))
    put("gguf_join", "two", joined(part(0, 2, tensors[:1]), part(1, 2, tensors[1:], False)))
    put("gguf_join", "empty_first", joined(part(0, 2, []), part(1, 2, tensors, False)))
    put("gguf_join", "wrong_order", joined(part(1, 2, tensors[1:]), part(0, 2, tensors[:1])))
    put("gguf_join", "cut", joined(part(0, 2, tensors[:1])[:200], part(1, 2, tensors[1:], False)))
    put("gguf_join", "three", joined(*(part(i, 3, tensors[i:i + 1], i == 0) for i in range(3))))

    reg, folder = tarfile.REGTYPE, tarfile.DIRTYPE
    put("tar", "plain", archive([("model.gguf", reg, b"GGUF")]))
    put("tar", "folders", archive([("a", folder, b""), ("a/b.onnx", reg, b"x" * 700), ("./c", reg, b"")]))
    put("tar", "pax", archive([("d/" + "n" * 200 + ".gguf", reg, b"y")], tarfile.PAX_FORMAT))
    put("tar", "gnu_long_name", archive([("d/" + "n" * 200, reg, b"y")], tarfile.GNU_FORMAT))
    put("tar", "symlink", archive([("l", tarfile.SYMTYPE, b"/etc/passwd")]))
    put("tar", "hardlink", archive([("l", tarfile.LNKTYPE, b"../x")]))
    put("tar", "parent", archive([("../x", reg, b"z")]))
    put("tar", "absolute", archive([("/etc/x", reg, b"z")]))
    put("tar", "twice", archive([("x", reg, b"1"), ("x", reg, b"2")]))
    put("tar", "cut", archive([("x", reg, b"1" * 2000)])[:1200])
    put("tar", "empty", b"\0" * 1024)

    digest = "sha256:" + hashlib.sha256(b"?").hexdigest()
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 7}
    indexes = [
        (0, "ollama", {"schemaVersion": 2, "layers": [layer, {**layer, "mediaType": "x/y"}], "config": layer}),
        (0, "ollama_path", {"schemaVersion": 2, "layers": [{**layer, "digest": "sha256:../../x"}]}),
        (1, "olive", {"type": "ONNXModel", "config": {"model_path": "/a/b/model.onnx"}}),
        (1, "olive_torch", {"type": "PyTorchModel", "config": {}}),
        (2, "package", {"schema_version": "1.0", "components": {"n": {"variants": {"cpu": {
            "executor_info": {"ort": {"model_file": "model.onnx"}}}}}}}),
        (2, "package_outside", {"schema_version": "1.0", "components": {"n": "net"}, "variants": {"cpu": {}}}),
        (2, "package_leaves", {"schema_version": "1.0", "components": {"n": {"variants": {"x": {
            "variant_directory": "../.."}}}}}),
        (3, "image", {"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": digest, "size": 7,
             "annotations": {"org.cncf.model.filepath": "m.gguf"}}]}),
        (3, "image_tar", {"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.kitops.modelkit.model.v1.tar+gzip", "digest": digest, "size": 7}]}),
    ]
    for kind, name, value in indexes:
        put("import_index", name, bytes([kind]) + json.dumps(value).encode())


if __name__ == "__main__":
    main()
