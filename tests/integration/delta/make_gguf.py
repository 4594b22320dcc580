#!/usr/bin/env python3
"""make_gguf.py OUT VERSION: a GGUF of six Q8_0 matrices, about 13 MB, whose codes move a little from version to version."""

import random
import struct
import sys

ROWS, COLUMNS, TENSORS = 2048, 1024, 6


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def main():
    out, version = sys.argv[1], int(sys.argv[2])
    pairs = [
        ("general.architecture", 8, text("llama")),
        ("general.description", 8, text("version " + "x" * version)),
        ("llama.block_count", 4, struct.pack("<I", 1)),
        ("llama.context_length", 4, struct.pack("<I", 128)),
        ("llama.embedding_length", 4, struct.pack("<I", 64)),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, TENSORS, len(pairs))
    for key, kind, value in pairs:
        header += text(key) + struct.pack("<I", kind) + value
    size = ROWS * COLUMNS // 32 * 34
    for i in range(TENSORS):
        header += text(f"blk.{i}.weight") + struct.pack("<IQQIQ", 2, COLUMNS, ROWS, 8, i * size)
    header += bytes(-len(header) % 32)
    data = bytearray(random.Random(1).randbytes(size * TENSORS))
    for block in range(0, len(data), 34):
        data[block : block + 2] = b"\x00\x20"
    # Each version moves other codes, one in about forty of those bytes that are codes.
    for step in range(1, version + 1):
        draw = random.Random(step + (0 if step == version or version < 9 else 100))
        for _ in range(len(data) // 80):
            at = draw.randrange(len(data))
            if at % 34 >= 2:
                data[at] = (data[at] + draw.choice((-1, 1))) % 256
    with open(out, "wb") as file:
        file.write(header + data)


if __name__ == "__main__":
    main()
