#!/usr/bin/env python3
"""Writes a GGUF file of one random F32 tensor: a model of any size for the null engine.

make_gguf.py PATH MEBIBYTES SEED
"""
import random
import struct
import sys


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def main():
    path, mebibytes, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    elements = mebibytes * (1 << 20) // 4
    shape = {"block_count": 1, "context_length": 128, "embedding_length": 64, "feed_forward_length": 64,
             "attention.head_count": 1, "attention.head_count_kv": 1}
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2 + len(shape))
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("general.alignment") + struct.pack("<II", 4, 32)
    for key, value in shape.items():
        head += text("llama." + key) + struct.pack("<II", 4, value)
    head += text("weights") + struct.pack("<IQIQ", 1, elements, 0, 0)
    head += b"\0" * (-len(head) % 32)
    source = random.Random(seed)
    with open(path, "wb") as out:
        out.write(head)
        for _ in range(mebibytes):
            out.write(source.randbytes(1 << 20))


if __name__ == "__main__":
    main()
