#!/usr/bin/env python3
"""Writes the seed corpora of the gguf and onnx fuzz targets: small files, right and wrong.

Written apart from the C++ builders of the unit tests, so that an error in one shows against the other.
Run it after changing it; the files are committed.
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


class Gguf:
    U32, I32, F32, BOOL, STR, ARR, U64 = 4, 5, 6, 7, 8, 9, 10

    def __init__(self):
        self.version, self.keys, self.tensors, self.data, self.pad = 3, [], [], b"", 32

    def key(self, name, kind, raw):
        self.keys.append(text(name) + struct.pack("<I", kind) + raw)
        return self

    def u32(self, name, value):
        return self.key(name, self.U32, struct.pack("<I", value))

    def str(self, name, value):
        return self.key(name, self.STR, text(value))

    def strings(self, name, values):
        return self.key(name, self.ARR, struct.pack("<IQ", self.STR, len(values)) + b"".join(map(text, values)))

    def ints(self, name, values):
        return self.key(name, self.ARR, struct.pack(f"<IQ{len(values)}i", self.I32, len(values), *values))

    def tensor(self, name, dims, kind, size, offset=None):
        at = len(self.data) if offset is None else offset
        head = text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        self.tensors.append(head + struct.pack("<IQ", kind, at))
        self.data += b"\x5a" * (size + (-size) % self.pad)
        return self

    def bytes(self):
        out = b"GGUF" + struct.pack("<IQQ", self.version, len(self.tensors), len(self.keys))
        out += b"".join(self.keys) + b"".join(self.tensors)
        return out + b"\0" * ((-len(out)) % self.pad) + self.data if self.tensors else out


def llama():
    model = Gguf().str("general.architecture", "llama").u32("general.file_type", 1)
    for name, value in (("block_count", 1), ("context_length", 64), ("embedding_length", 32),
                        ("attention.head_count", 2), ("attention.head_count_kv", 1)):
        model.u32("llama." + name, value)
    model.str("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", ["<s>", "<0x0A>", "b"])
    model.ints("tokenizer.ggml.token_type", [3, 6, 1]).str("tokenizer.chat_template", "{{ m }}")
    model.tensor("token_embd.weight", [32, 3], 1, 192).tensor("output_norm.weight", [32], 0, 128)
    return model


def gguf_seeds():
    yield "llama", llama().bytes()
    quantized = llama().tensor("blk.0.ffn_up.weight", [256, 2], 12, 288)
    quantized.tensor("blk.0.ffn_down.weight", [64, 1], 8, 68).tensor("x", [128], 41, 18)
    yield "quantized", quantized.bytes()
    wide = Gguf()
    wide.pad = 64
    wide.u32("general.alignment", 64).str("general.architecture", "gpt-oss").str("general.type", "adapter")
    yield "alignment_64", wide.tensor("t", [3, 2, 2, 1], 30, 24).bytes()
    yield "vocabulary_only", Gguf().str("general.architecture", "bert").strings("tokenizer.ggml.tokens", ["a"]).bytes()
    old = llama()
    old.version = 2
    yield "version_2", old.bytes()
    split = llama().key("split.no", 2, struct.pack("<H", 0)).key("split.count", 2, struct.pack("<H", 3))
    yield "split", split.bytes()
    per_layer = llama()
    per_layer.keys = [k for k in per_layer.keys if b"head_count_kv" not in k]
    yield "heads_per_layer", per_layer.ints("llama.attention.head_count_kv", [2]).bytes()
    yield "offset_beyond", llama().tensor("t", [8], 0, 0, offset=1 << 40).bytes()
    yield "overlap", llama().tensor("t", [8], 0, 0, offset=0).bytes()
    yield "dims_overflow", llama().tensor("t", [1 << 33, 1 << 33], 0, 0).bytes()
    yield "nested_array", llama().key("x", 9, struct.pack("<IQ", 9, 1)).bytes()
    yield "array_too_long", llama().key("x", 9, struct.pack("<IQ", 10, 1 << 61)).bytes()
    yield "duplicate_key", llama().u32("llama.block_count", 1).bytes()
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 1, 1)
    yield "truncated", llama().bytes()[:150]
    yield "every_scalar", Gguf().str("general.architecture", "x").key("a", 0, b"\1").key("b", 1, b"\xff").key(
        "c", 2, b"\1\0").key("d", 3, b"\xff\xff").key("e", 7, b"\1").key("f", 6, struct.pack("<f", 1.5)).key(
        "g", 10, b"\1" + b"\0" * 7).key("h", 11, b"\xff" * 8).key("i", 12, struct.pack("<d", 2.5)).bytes()


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def num(field, value):
    return varint(field << 3) + varint(value)


def blob(field, value):
    raw = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def f32(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


def tensor(name, dims, kind, raw):
    return b"".join(num(1, d) for d in dims) + num(2, kind) + blob(8, name) + blob(9, raw)


def value(name, kind, dims):
    shape = b"".join(blob(1, blob(2, "N") if d < 0 else num(1, d)) for d in dims)
    return blob(1, name) + blob(2, blob(1, num(1, kind) + blob(2, shape)))


def node(kind, inputs, outputs, rest=b""):
    return b"".join(blob(1, i) for i in inputs) + b"".join(blob(2, o) for o in outputs) + blob(4, kind) + rest


def graph(rest=b""):
    return (blob(1, node("MatMul", ["x", "w"], ["y"])) + blob(2, "g") + blob(5, tensor("w", [2, 1], 1, b"\0" * 8))
            + blob(11, value("x", 1, [-1, 2])) + blob(12, value("y", 1, [-1, 1])) + rest)


def model(body, rest=b""):
    return num(1, 8) + blob(2, "seed") + blob(7, body) + blob(8, blob(1, "") + num(2, 13)) + rest


def attribute(field, raw, kind):
    return blob(5, blob(1, "a") + blob(field, raw) + num(20, kind))


def onnx_seeds():
    yield "small", model(graph())
    pairs = blob(13, blob(1, "location") + blob(2, "weights.bin")) + blob(13, blob(1, "offset") + blob(2, "16"))
    outside = num(1, 4) + num(2, 1) + blob(8, "e") + num(14, 1) + pairs
    yield "external", model(graph(blob(5, outside)))
    yield "external_parent", model(graph(blob(5, outside.replace(b"weights.bin", b"../ghts.bin"))))
    inner = blob(2, "then") + blob(1, node("Relu", ["y"], ["z"])) + blob(12, value("z", 1, [1]))
    yield "subgraph", model(graph(blob(1, node("If", ["c"], ["o"], attribute(6, inner, 5)))))
    for _ in range(10):
        inner = blob(1, node("If", ["c"], ["o"], attribute(6, inner, 5)))
    yield "subgraph_deep", model(graph(inner))
    attributes = (blob(5, blob(1, "f") + f32(2, 0.5) + num(20, 1)) + blob(5, blob(1, "i") + num(3, -1) + num(20, 2))
                  + blob(5, blob(1, "s") + blob(4, "t") + num(20, 3)) + blob(5, blob(1, "n") + num(8, 1) + num(8, 2) + num(20, 7))
                  + blob(5, blob(1, "m") + blob(7, b"\0" * 8) + num(20, 6)) + attribute(5, tensor("", [1], 7, b"\0" * 8), 4))
    yield "attributes", model(graph(blob(1, node("X", [], ["o"], attributes))))
    packed = num(1, 3) + num(2, 7) + blob(8, "p") + blob(7, varint(1) + varint(-1) + varint(300))
    yield "packed", model(graph(blob(5, packed) + blob(5, tensor("i4", [3], 22, b"\1\2")) + blob(
        5, num(1, 2) + num(2, 8) + blob(8, "s") + blob(6, "a") + blob(6, "b"))))
    sequence = blob(1, "q") + blob(2, blob(4, blob(1, blob(1, num(1, 1)))))
    yield "sequence_type", model(graph(blob(13, sequence)))
    function = blob(1, "f") + blob(4, "a") + blob(5, "b") + blob(7, node("Relu", ["a"], ["b"])) + blob(10, "local")
    yield "function", model(graph(blob(1, node("f", ["y"], ["o"], blob(7, "local")))), blob(25, function))
    yield "metadata", model(graph(), blob(14, blob(1, "k") + blob(2, "v")) + blob(8, blob(1, "com.microsoft") + num(2, 1)))
    yield "second_graph", model(graph(), blob(7, graph()))
    yield "group", model(graph()) + b"\x0b\x0c"
    yield "long_varint", num(1, 8) + b"\x38" + b"\xff" * 11
    yield "length_huge", num(1, 8) + b"\x3a" + b"\xff" * 8 + b"\x7f"
    yield "raw_short", model(graph(blob(5, tensor("t", [1 << 40], 1, b"abc"))))
    yield "truncated", model(graph())[:60]


def main():
    for target, seeds in (("gguf", gguf_seeds()), ("onnx", onnx_seeds())):
        corpus = HERE / target / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for name, data in seeds:
            (corpus / name).write_bytes(data)


if __name__ == "__main__":
    main()
