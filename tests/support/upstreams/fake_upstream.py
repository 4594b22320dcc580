#!/usr/bin/env python3
"""A server that behaves as vLLM, mlx_lm.server, Ollama or Foundry Local does on the wire, quirks
included (docs/upstreams.md lists them), and that can be told by the prompt to misbehave.

  fake_upstream.py KIND --port-file FILE --log FILE [--model NAME] [--key KEY] [--load N]
                   [--tls CERT KEY] [--port N]

The answer to a chat is "echo: " and the last message, word by word. In the last message:
  FAIL500    status 500               BUSY      status 503 with Retry-After: 1
  TOOLONG    the kind's words for a prompt that does not fit
  CUT        the connection breaks after two words    MIDERROR  an error inside the stream
  ENDLESS    a word every 20 ms until the client goes  HANG      nothing at all
  STOP       ends at the stop string "END"      NOKEY      status 401 that quotes the prompt
  TOOL       thoughts, then calls of the first tool that was offered, as the kind tells them
  SLOWHEAD   the head at once, the first word later
Each request is a line of JSON in the log; a client that goes in the middle is one, too.
"""

import argparse
import json
import os
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OPTIONS = None
LOG_LOCK = threading.Lock()


def note(entry):
    with LOG_LOCK, open(OPTIONS.log, "a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


class Handler(BaseHTTPRequestHandler):
    # mlx_lm.server speaks HTTP/1.0: a stream ends with the connection.
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    # --- plain answers

    def answer(self, status, document, headers=()):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, message, code=None, headers=()):
        kind = OPTIONS.kind
        if kind == "mlx_lm":
            document = {"error": message}
        elif kind == "vllm":
            document = {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}
        elif kind == "ollama":
            document = {"error": {"message": message, "type": "api_error", "param": None, "code": None}}
        else:
            document = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
        self.answer(status, document, headers)

    def allowed(self):
        if OPTIONS.key and self.headers.get("Authorization") != "Bearer " + OPTIONS.key:
            self.refuse(401, "Unauthorized")
            return False
        return True

    def do_GET(self):
        note({"method": "GET", "path": self.path})
        health = {"vllm": "/health", "mlx_lm": "/health", "ollama": "/api/version",
                  "foundry_local": "/openai/status"}
        if self.path == health.get(OPTIONS.kind):
            self.answer(200, b"" if OPTIONS.kind == "vllm" else {"status": "ok"})
        elif not self.allowed():
            pass
        elif self.path == "/v1/models":
            name = OPTIONS.model
            if OPTIONS.kind == "ollama" and ":" not in name:
                name += ":latest"
            self.answer(200, {"object": "list", "data": [{"id": name, "object": "model"}]})
        elif self.path == "/metrics" and OPTIONS.kind == "vllm":
            self.answer(200, ('vllm:num_requests_running{engine="0",model_name="m"} %d.0\n'
                              'vllm:num_requests_waiting{engine="0",model_name="m"} 0.0\n'
                              % OPTIONS.load).encode())
        else:
            self.refuse(404, "Not Found")

    # --- streams

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8"
                         if OPTIONS.kind == "vllm" else "text/event-stream")
        self.chunked = OPTIONS.kind != "mlx_lm"
        if self.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, text):
        data = text.encode()
        if self.chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.wfile.write(data)
        self.wfile.flush()

    def event(self, document):
        self.write("data: " + json.dumps(document) + "\n\n")

    def end_stream(self):
        self.write("data: [DONE]\n\n")
        if self.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def chunk(self, text, finish=None, first=False, stop=None):
        kind = OPTIONS.kind
        if not self.chat:
            return {"object": "text_completion", "model": OPTIONS.model, "choices": [
                {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]}
        if kind == "vllm":
            delta = {"role": "assistant", "content": ""} if first else {"content": text}
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            if finish:
                choice["stop_reason"] = stop
            if self.logprobs and not first:
                choice["logprobs"] = {"content": [
                    {"token": text, "logprob": -0.25, "bytes": list(text.encode()), "top_logprobs": [
                        {"token": text, "logprob": -0.25, "bytes": list(text.encode())}]}]}
            return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": OPTIONS.model,
                    "choices": [choice]}
        if kind == "mlx_lm":
            return {"object": "chat.completion.chunk", "model": OPTIONS.model, "choices": [
                {"index": 0, "finish_reason": finish,
                 "delta": {"role": "assistant", "content": text,
                           "reasoning": "thinking" if first else "", "tool_calls": []}}]}
        if kind == "foundry_local":
            message = {"role": "assistant", "content": text, "name": None, "tool_call_id": None,
                       "function_call": None, "tool_calls": []}
            return {"model": OPTIONS.model, "choices": [
                {"delta": message, "message": message, "index": 0, "finish_reason": finish,
                 "finish_details": None, "logprobs": None}],
                "usage": None, "CreatedAt": "2026-01-01T00:00:00+00:00", "IsDelta": False,
                "Successful": True, "error": None, "HttpStatusCode": 0,
                "object": "chat.completion.chunk"}
        return {"object": "chat.completion.chunk", "system_fingerprint": "fp_ollama", "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}]}

    def misbehave(self, prompt, body):
        """True if the prompt asked for another answer than a stream."""
        if "FAIL500" in prompt:
            self.refuse(500, "engine is dead: " + prompt)
        elif "NOKEY" in prompt:
            self.refuse(401, "no such user: " + prompt)
        elif "SLOWHEAD" in prompt:
            self.begin_stream()
            time.sleep(2.5)
            self.stream(prompt, body, begun=True)
        elif "BUSY" in prompt:
            self.refuse(503, "server busy, please try again. maximum pending requests exceeded",
                        headers=[("Retry-After", "1")])
        elif "TOOLONG" in prompt:
            words = {"vllm": "This model's maximum context length is 16 tokens. However, you requested 99 tokens",
                     "mlx_lm": "Prompt exceeds max prompt token limit: prompt_tokens=99, max_prompt_tokens=16"}
            self.refuse(400, words.get(OPTIONS.kind, "the input exceeds the context length"))
        elif "HANG" in prompt:
            time.sleep(30)
        else:
            return False
        return True

    def delta(self, members, finish=None):
        self.event({"object": "chat.completion.chunk", "choices": [
            {"index": 0, "delta": members, "logprobs": None, "finish_reason": finish}]})

    def call_tool(self, body):
        """Two calls with {"n": 1} and {"n": 2}."""
        name = body["tools"][0]["function"]["name"]
        arguments = [json.dumps({"n": n}) for n in (1, 2)]
        if OPTIONS.kind == "vllm":
            self.delta({"reasoning_content": "hmm"})
            for i, text in enumerate(arguments):
                self.delta({"tool_calls": [{"index": i, "id": "chatcmpl-tool-%d" % i, "type": "function",
                                            "function": {"name": name, "arguments": ""}}]})
                for piece in (text[:3], text[3:]):
                    self.delta({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
            self.delta({}, "tool_calls")
        elif OPTIONS.kind == "mlx_lm":
            self.delta({"role": "assistant", "content": "", "reasoning": "hmm", "tool_calls": []})
            self.delta({"role": "assistant", "content": "", "reasoning": "", "tool_calls": [
                {"type": "function", "id": None, "function": {"name": name, "arguments": text}}
                for text in arguments]}, "tool_calls")
        else:
            self.delta({"role": "assistant", "content": "", "reasoning": "hmm"})
            self.delta({"role": "assistant", "content": "", "tool_calls": [
                {"id": "call_%d" % i, "index": i, "type": "function",
                 "function": {"name": name, "arguments": text}} for i, text in enumerate(arguments)]})
            self.delta({"role": "assistant", "content": ""}, "tool_calls")
        self.end_stream()

    def words_of(self, prompt, body):
        words = ("echo: " + prompt).split(" ")
        words = [words[0]] + [" " + word for word in words[1:]]
        # mlx_lm.server ends answers at 512 tokens, here at two, unless it is told a limit.
        limit = body.get("max_tokens", body.get("max_completion_tokens",
                                                2 if OPTIONS.kind == "mlx_lm" else None))
        return words, limit

    def stream(self, prompt, body, begun=False):
        if not begun:
            self.begin_stream()
        words, limit = self.words_of(prompt, body)
        if OPTIONS.kind == "mlx_lm":
            self.write(": keepalive 0/9\n\n: keepalive 9/9\n\n")
        if "TOOL" in prompt and body.get("tools"):
            self.call_tool(body)
            return
        if OPTIONS.kind in ("vllm", "mlx_lm") and self.chat:
            self.event(self.chunk("", first=True))
        if "ENDLESS" in prompt:
            while True:
                self.event(self.chunk(" word"))
                time.sleep(0.02)
        finish, stop, count = "stop", None, 0
        for word in words:
            if limit is not None and count >= limit:
                finish = "length"
                break
            if "STOP" in prompt and "END" in word and "END" in (body.get("stop") or []):
                stop = "END"
                break
            count += 1
            self.event(self.chunk(word))
            if count == 2 and "CUT" in prompt:
                self.close_connection = True
                self.connection.close()
                return
            if count == 2 and "MIDERROR" in prompt:
                self.event({"error": {"message": "llama runner process has terminated",
                                      "type": "api_error", "param": None, "code": None}})
                return
        self.event(self.chunk("", finish=finish, stop=stop))
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        if wants_usage and OPTIONS.kind != "foundry_local":
            self.event({"choices": [], "usage": {
                "prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count,
                "prompt_tokens_details": {"cached_tokens": 4} if OPTIONS.kind == "vllm" else None}})
        self.end_stream()

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is None:
            note({"method": "POST", "path": self.path, "error": "no length"})
            self.refuse(411, "Content-Length required")
            return
        body = json.loads(self.rfile.read(int(length)))
        note({"method": "POST", "path": self.path, "body": body,
              "key": self.headers.get("Authorization")})
        if not self.allowed():
            return
        name = body.get("model", "")
        if name != OPTIONS.model and name + ":latest" != OPTIONS.model:
            self.refuse(404, "The model `%s` does not exist." % name)
            return
        if self.path == "/v1/embeddings" and OPTIONS.kind in ("vllm", "ollama"):
            if "FAIL500" in body["input"]:
                self.refuse(500, "engine is dead: " + body["input"][0])
                return
            self.answer(200, {"object": "list", "data": [
                {"object": "embedding", "index": i, "embedding": [3.0, 4.0 + i]}
                for i in range(len(body["input"]))][::-1], "usage": {"prompt_tokens": 7}})
            return
        self.chat = self.path == "/v1/chat/completions"
        self.logprobs = body.get("logprobs")
        if not self.chat and (self.path != "/v1/completions" or OPTIONS.kind == "foundry_local"):
            self.refuse(404, "Not Found")
            return
        prompt = (body["messages"][-1]["content"] or "") if self.chat else body["prompt"]
        try:
            if not self.misbehave(prompt, body):
                self.stream(prompt, body)
        except OSError:
            note({"gone": True})
            self.close_connection = True


def main():
    global OPTIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["vllm", "mlx_lm", "ollama", "foundry_local"])
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--model", default="m")
    parser.add_argument("--key", default="")
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2)
    OPTIONS = parser.parse_args()
    if OPTIONS.kind == "mlx_lm":
        Handler.protocol_version = "HTTP/1.0"
    server = ThreadingHTTPServer(("127.0.0.1", OPTIONS.port), Handler)
    server.daemon_threads = True
    if OPTIONS.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*OPTIONS.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(OPTIONS.port_file + ".part", "w", encoding="utf-8") as out:
        out.write(str(server.server_address[1]))
    os.rename(OPTIONS.port_file + ".part", OPTIONS.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
