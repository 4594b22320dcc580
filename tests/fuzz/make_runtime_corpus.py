#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets worker_frame, golden and token_text into their corpus folders."""
import pathlib
import struct
import subprocess

HERE = pathlib.Path(__file__).parent
PROTO = HERE.parent.parent / "proto"


def encode(message, text):
    return subprocess.run(
        ["protoc", f"-I{PROTO}", f"--encode=skerry.worker.v1.{message}", "skerry/worker/v1/worker.proto"],
        input=text.encode(), capture_output=True, check=True, cwd=PROTO).stdout


def frame(payload, descriptors=0):
    return b"SKW1" + struct.pack("<II", len(payload), descriptors) + payload


def write(target, name, data):
    folder = HERE / target / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


META = 'meta { id: "r" principal: "uid:1" priority: 1 model: "%s" }' % ("m" * 32)
FRAMES = {
    "setup_done": ("FromWorker", 'setup_done { plugin: "null" sandbox { layer: 5 achieved: true } sandbox { layer: 99 } }'),
    "loaded": ("FromWorker", 'loaded { architecture: "llama" vocabulary: 9 inputs { name: "x" type: 11 shape: -1 shape: 4 } }'),
    "failed": ("FromWorker", 'failed { code: 67 message: "no" }'),
    "text": ("FromWorker", 'event { key: 1 text { text: "\\303\\251" tokens: 3 tokens: 4 } }'),
    "done": ("FromWorker", 'event { key: 1 done { reason: 1 completion_tokens: 2 total_ns: 5 stop_match: "x" } }'),
    "bad_done": ("FromWorker", 'event { key: 1 done { reason: 9 total_ns: -1 } }'),
    "failure": ("FromWorker", 'event { key: 1 failure { code: 4 message: "?" retryable: true } }'),
    "tensors": ("FromWorker", 'event { tensors { outputs { name: "x" type: 2 shape: 3 data: "abc" } } }'),
    "huge_tensor": ("FromWorker", 'event { tensors { outputs { name: "x" type: 13 shape: 4611686018427387904 } } }'),
    "scores": ("FromWorker", 'event { scores { tokens { token: 1 log_prob: -1 top_tokens: 2 top_log_probs: -2 } } }'),
    "embeddings": ("FromWorker", 'event { embeddings { vectors { values: 1 values: 0.5 } } }'),
    "pong": ("FromWorker", 'pong { number: 1 progress: 7 busy: true }'),
    "prefix_save": ("FromWorker", 'prefix_save { names: "%s" tokens: 64 format: "null 1" recompute_ns: 5 size: 9 }' % ("n" * 64)),
    "prefix_query": ("FromWorker", 'prefix_query { key: 3 names: "%s" format: "null 1" }' % ("n" * 32)),
    "prefix_cut": ("FromWorker", 'prefix_query { key: 3 names: "%s" format: "null 1" }' % ("n" * 33)),
    "prefix_drop": ("FromWorker", 'prefix_drop { name: "%s" }' % ("n" * 32)),
    "prefix_answer": ("ToWorker", 'prefix_answer { key: 3 tokens: 64 common: 32 size: 9 }'),
    "generate": ("ToWorker", 'submit { key: 1 %s generate { prompt { text: "hi" } sampling { temperature: 1 top_p: 1 repeat_penalty: 1 } stop: "x" } }' % META),
    "chat": ("ToWorker", 'submit { key: 1 %s generate { prompt { chat { messages { role: "user" content: "hi" } } } } }' % META),
    "infer": ("ToWorker", 'submit { key: 1 %s infer { inputs { name: "x" type: 2 shape: 1 data: "a" } } }' % META),
    "score": ("ToWorker", 'submit { key: 1 %s score { prompt { tokens { tokens: 1 } } top: 3 } }' % META),
}
for name, (message, text) in FRAMES.items():
    write("worker_frame", name, frame(encode(message, text)))
write("worker_frame", "two", frame(b"") + frame(encode("FromWorker", "pong {}"), 3))
write("worker_frame", "too_long", b"SKW1" + struct.pack("<II", 0x7fffffff, 0))
write("worker_frame", "no_magic", b"GET / HTTP/1.1\r\n\r\n")
write("worker_frame", "cut", frame(b"abcdef")[:-2])

write("golden", "lines", b'{"prompt":"a","expect":"b","match":"exact"}\n{"prompt":"c","expect":{"x":1},"max_tokens":3}\n')
write("golden", "json_rule", b'{"prompt":"a","expect":"{}","match":"json"}')
write("golden", "inline", b'{"input":"w","classes":["a","b"],"scale":0.5,"shape":[1,2],"cases":[{"expect":"b","values":[1,2]}]}')
write("golden", "sidecar", b'{"input":"w","data":{"type":"int16le","scale":0.5,"shape":[2,1]},"labels":[0,1]}\0\1\0\2\0')
write("golden", "overflow", b'{"input":"w","data":{"type":"float32le","shape":[9223372036854775807,8]},"labels":[]}')
write("golden", "deep", b'{"input":' * 40)

write("token_text", "plain", b"kernel: link is up\n")
write("token_text", "accents", "grüße € 😀 日本".encode())
write("token_text", "broken", b"\xff\xc0\x80\xed\xa0\x80\xf5\xe2\x82")
write("token_text", "stops", "x a b aab €€a".encode())
