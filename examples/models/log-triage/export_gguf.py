#!/usr/bin/env python3
"""Writes model.pt and tokenizer.json of train.py as a GGUF v3 file (architecture llama, F16 matrices, F32 norms).

    export_gguf.py --from build/models/log-triage --out log-triage-f16.gguf
"""
import argparse
import os
import struct

import numpy as np
import torch

import model as net
import tokenizer as tok

ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # GGUF value types
GGML_F32, GGML_F16 = 0, 1
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # token types
FILE_TYPE_MOSTLY_F16 = 1
# One user message becomes the training prompt. llama.cpp knows this form as "llama2 with stripped content".
CHAT_TEMPLATE = ("{% for message in messages %}{% set content = message['content'] %}{% if message['role'] == 'user' %}"
                 "{{ '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
                 "{{ content + '</s>' }}{% endif %}{% endfor %}")


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, item):
    if kind == ARRAY:
        inner, items = item
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, i) for i in items)
    if kind == STRING:
        return string(item)
    return struct.pack({U32: "<I", F32: "<f", BOOL: "<?", I32: "<i"}[kind], item)


def metadata(c, tokenizer):
    types = [CONTROL if t in (tok.BOS, tok.EOS) else USER_DEFINED if t in tok.USER_DEFINED else NORMAL for t in tokenizer.tokens]
    return [
        ("general.architecture", STRING, "llama"), ("general.type", STRING, "model"),
        ("general.name", STRING, "log-triage"), ("general.license", STRING, "apache-2.0"),
        ("general.description", STRING, "Triage of one gateway log line as JSON: severity, component, cause, action"),
        ("general.file_type", U32, FILE_TYPE_MOSTLY_F16), ("general.quantization_version", U32, 2),
        ("llama.vocab_size", U32, c["vocab"]), ("llama.context_length", U32, c["context"]),
        ("llama.embedding_length", U32, c["embd"]), ("llama.block_count", U32, c["layers"]),
        ("llama.feed_forward_length", U32, c["ff"]), ("llama.attention.head_count", U32, c["heads"]),
        ("llama.attention.head_count_kv", U32, c["kv_heads"]),
        ("llama.rope.dimension_count", U32, c["embd"] // c["heads"]), ("llama.rope.freq_base", F32, c["rope_base"]),
        ("llama.attention.layer_norm_rms_epsilon", F32, c["eps"]),
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokenizer.tokens)), ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, [" ".join(pair) for pair in tokenizer.merges])),
        ("tokenizer.ggml.bos_token_id", U32, tokenizer.bos), ("tokenizer.ggml.eos_token_id", U32, tokenizer.eos),
        ("tokenizer.ggml.padding_token_id", U32, tokenizer.eos),
        ("tokenizer.ggml.add_bos_token", BOOL, True), ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def write(path, state, tokenizer, config):
    tensors = []
    for name, tensor in state.items():  # our module names are llama.cpp's tensor names; the output matrix is tied
        half = tensor.dim() == 2
        data = tensor.numpy().astype("<f2" if half else "<f4")
        if not np.isfinite(data).all():
            raise SystemExit(f"{name}: a weight does not fit its type")
        tensors.append((name, GGML_F16 if half else GGML_F32, data))
    pairs = metadata(config, tokenizer)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, item in pairs:
        head += string(key) + struct.pack("<I", kind) + value(kind, item)
    offset = 0
    for name, kind, data in tensors:
        head += string(name) + struct.pack("<I", data.ndim) + struct.pack(f"<{data.ndim}Q", *reversed(data.shape))
        head += struct.pack("<IQ", kind, offset)
        offset += -(-data.nbytes // ALIGNMENT) * ALIGNMENT
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        for _, _, data in tensors:
            file.write(data.tobytes() + bytes(-data.nbytes % ALIGNMENT))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", default="build/models/log-triage")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "log-triage-f16.gguf"))
    args = parser.parse_args()
    state = torch.load(os.path.join(args.source, "model.pt"))
    write(args.out, state, tok.Tokenizer.load(os.path.join(args.source, "tokenizer.json")), net.CONFIG)
    print(f"{args.out}: {os.path.getsize(args.out)} bytes")


if __name__ == "__main__":
    main()
