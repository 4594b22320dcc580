#!/usr/bin/env python3
"""Checks the exported GGUF in llama.cpp itself and writes the evaluation and golden sets.

1. tokenizes some hundred lines with tokenizer.py and llama.cpp: must be equal, token by token
2. answers them greedily with torch (weights rounded to F16) and llama.cpp, raw and through the chat template: must be equal
3. derives the variants, measures all of them and baseline.py on eval.jsonl, prints a table
4. writes golden.jsonl: prompts whose answer is right and the same in every variant

Needs python3-torch, g++ and the llama.cpp of `make setup` (build/engines/llama).
"""
import argparse
import json
import os
import subprocess
import sys

import torch

import baseline
import generate
import model as net
import tokenizer as tok

HERE = os.path.dirname(os.path.abspath(__file__))
VARIANTS = ["q8_0", "q4_k_m", "q2_k"]  # as in model.toml
FIELDS = ["severity", "component", "cause", "action"]  # what an answer is judged by; "fault" and "context" explain it


class LlamaCpp:
    def __init__(self, engine, work):
        self.libs = os.path.join(engine, "lib")
        self.program = os.path.join(work, "llama_answers")
        found = sorted(os.listdir(self.libs))
        pick = [next(f for f in found if f.startswith(p)) for p in ("libllama.v", "libggml.v", "libggml-base.")]
        subprocess.run(["g++", "-O2", "-std=c++20", os.path.join(HERE, "llama_answers.cpp"), "-I", os.path.join(engine, "include"),
                        "-o", self.program, *[os.path.join(self.libs, f) for f in pick], f"-Wl,-rpath,{self.libs}"], check=True)

    def run(self, command, gguf, lines):
        done = subprocess.run([self.program, self.libs, command, gguf], input="\n".join(lines) + "\n", text=True,
                              stdout=subprocess.PIPE, check=True)
        return done.stdout.splitlines()

    def quantize(self, source, target, kind):
        subprocess.run([self.program, self.libs, "quantize", source, target, kind], check=True, stderr=subprocess.DEVNULL)


def rows_of(split, seed, count):
    """count different lines of a split."""
    generator, seen, rows = generate.Generator(split, seed), set(), []
    while len(rows) < count:
        line, triage = generator.line()
        if line not in seen:
            seen.add(line)
            rows.append({"prompt": generate.prompt_of(line), "expect": {f: triage[f] for f in FIELDS}, "whole": triage})
    return rows


def measure(answers, rows):
    hits = dict.fromkeys(["exact"] + FIELDS, 0)
    for text, row in zip(answers, rows):
        try:
            got = json.loads(text)
        except ValueError:
            got = None
        got = got if isinstance(got, dict) else {}
        hits["exact"] += all(got.get(f) == want for f, want in row["expect"].items())
        for field in FIELDS:
            hits[field] += got.get(field) == row["expect"][field]
    return {name: n / len(rows) for name, n in hits.items()}


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({k: v for k, v in row.items() if k != "whole"}, separators=(",", ":")) + "\n")


def choose_golden(rows, answers, count=24):
    """Right and agreed answers, spread over components and severities in turn."""
    agreed = [(row, given[0]) for row, given in zip(rows, answers) if set(given) == {generate.answer_of(row["whole"])}]
    chosen, used = [], {}
    for _ in range(count):
        def worn(item):
            want = item[0]["expect"]
            return used.get(want["component"], 0) + used.get(want["severity"], 0), used.get(want["cause"], 0)
        best = min(agreed, key=worn)
        agreed.remove(best)
        for field in ("component", "severity", "cause"):
            used[best[0]["expect"][field]] = used.get(best[0]["expect"][field], 0) + 1
        chosen.append({"prompt": best[0]["prompt"], "expect": best[1], "match": "exact"})
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", default="build/models/log-triage")
    parser.add_argument("--gguf", default=os.path.join(HERE, "log-triage-f16.gguf"))
    parser.add_argument("--engine", default="build/engines/llama")
    parser.add_argument("--out", default=HERE, help="where eval.jsonl and golden.jsonl are written")
    args = parser.parse_args()
    torch.set_num_threads(1)
    engine = LlamaCpp(os.path.abspath(args.engine), args.source)

    tokenizer = tok.Tokenizer.load(os.path.join(args.source, "tokenizer.json"))
    model = net.Llama().eval()
    state = torch.load(os.path.join(args.source, "model.pt"))
    model.load_state_dict({k: v.half().float() if v.dim() == 2 else v for k, v in state.items()})

    rows = [r for split in ("train", "heldout") for r in rows_of(split, "verify", 250)]
    prompts = [r["prompt"] for r in rows]
    mine = [tokenizer.encode(p, bos=True) for p in prompts]
    theirs = [[int(t) for t in line.split()] for line in engine.run("tokens", args.gguf, prompts)]
    different = [p for p, a, b in zip(prompts, mine, theirs) if a != b]
    if different or len(theirs) != len(mine):
        sys.exit(f"tokenizers differ on {len(different)} lines, for example {different[:1]}")
    torch_answers = [tokenizer.decode(a) for a in net.greedy(model, mine, tokenizer.eos)]
    lines = [p.removeprefix("[INST] ").removesuffix(" [/INST]") for p in prompts]
    raw, chat = engine.run("answers", args.gguf, prompts), engine.run("chat", args.gguf, lines)
    unequal = sum(a != b for a, b in zip(torch_answers, raw))
    print(f"tokens equal on {len(prompts)} lines; greedy answers: {unequal} differ from torch, "
          f"{sum(a != b for a, b in zip(raw, chat))} differ between raw prompt and chat template")
    if unequal > len(prompts) // 100 or raw != chat:
        sys.exit("llama.cpp and torch do not agree")  # one in a hundred may be a near tie, decided by rounding

    files = {"f16": args.gguf}
    for name in VARIANTS:
        files[name] = os.path.join(args.source, f"log-triage-{name}.gguf")
        engine.quantize(args.gguf, files[name], name.upper())

    print("| variant | bytes | exact | severity | component | cause | action |\n|---|---|---|---|---|---|---|")
    for title, split, seed, count in (("", "heldout", "evaluation", 400), (" (held-out names only)", "names", "evaluation", 400)):
        rows = rows_of(split, seed, count)
        if split == "heldout":
            write_jsonl(os.path.join(args.out, "eval.jsonl"), rows)
        for name, path in files.items():
            result = measure(engine.run("answers", path, [r["prompt"] for r in rows]), rows)
            print(f"| {name}{title} | {os.path.getsize(path)} | " + " | ".join(f"{result[f]:.3f}" for f in ["exact"] + FIELDS) + " |")
        rules = [json.dumps(baseline.triage(r["prompt"].removeprefix("[INST] ").removesuffix(" [/INST]"))) for r in rows]
        result = measure(rules, rows)
        print(f"| regex baseline{title} | | " + " | ".join(f"{result[f]:.3f}" for f in ["exact"] + FIELDS) + " |", flush=True)

    rows = rows_of("heldout", "golden", 300)
    golden = choose_golden(rows, list(zip(*[engine.run("answers", path, [r["prompt"] for r in rows]) for path in files.values()])))
    write_jsonl(os.path.join(args.out, "golden.jsonl"), golden)
    print(f"{len(golden)} golden prompts")


if __name__ == "__main__":
    main()
