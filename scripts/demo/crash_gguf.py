#!/usr/bin/env python3
"""Copies a GGUF with one more key, on which llama.cpp's loader asserts: well-formed, and deadly for the process that
loads it. usage: crash_gguf.py IN OUT"""
import struct
import sys

WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def skip_value(data, at, kind):
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind == 9:
        inner, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count if inner == 8 else 0):
            at = skip_value(data, at, 8)
        return at if inner == 8 else at + count * WIDTH[inner]
    return at + WIDTH[kind]


def main():
    data = open(sys.argv[1], "rb").read()
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", data, 0)
    assert magic == b"GGUF" and version == 3
    at, alignment = 24, 32
    for _ in range(keys):
        length = struct.unpack_from("<Q", data, at)[0]
        name = data[at + 8:at + 8 + length]
        at += 8 + length
        kind = struct.unpack_from("<I", data, at)[0]
        if name == b"general.alignment":
            alignment = struct.unpack_from("<I", data, at + 4)[0]
        at = skip_value(data, at + 4, kind)
    end_of_keys = at
    for _ in range(tensors):
        length = struct.unpack_from("<Q", data, at)[0]
        at += 8 + length
        at += 4 + struct.unpack_from("<I", data, at)[0] * 8 + 12
    weights = (at + alignment - 1) // alignment * alignment
    key = b"llama.expert_count"
    extra = struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 4)
    head = struct.pack("<4sIQQ", magic, version, tensors, keys + 1) + data[24:end_of_keys] + extra + data[end_of_keys:at]
    head += b"\0" * (-len(head) % alignment)
    open(sys.argv[2], "wb").write(head + data[weights:])


main()
