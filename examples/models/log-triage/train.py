#!/usr/bin/env python3
"""Trains the log-triage model from scratch on lines of generate.py and writes tokenizer.json and model.pt to --out.

Needs Debian's python3-torch (1.13); a BLAS such as libopenblas0-pthread makes it some twenty times quicker.
"""
import argparse
import json
import os
import random
import time

import torch
import torch.nn.functional as F

import generate
import model as net
import tokenizer as tok


def batches(generator, tokenizer, size, rng):
    """Endless batches of similar lengths: ids [B,T], targets [B,T] (-1 where there is nothing to learn)."""
    while True:
        rows = []
        for _ in range(size * 32):
            line, triage = generator.line()
            prompt = tokenizer.encode(generate.prompt_of(line), bos=True)
            answer = tokenizer.encode(generate.answer_of(triage)) + [tokenizer.eos]
            rows.append((prompt, answer))
        rows.sort(key=lambda r: len(r[0]) + len(r[1]))
        groups = [rows[i:i + size] for i in range(0, len(rows), size)]
        rng.shuffle(groups)
        for group in groups:
            if rng.random() < 0.7 * generator.focus:  # the severity alone: the hardest field, at half the price
                group = [(prompt, answer[:2]) for prompt, answer in group]
            width = max(len(p) + len(a) for p, a in group) - 1
            ids = torch.full((len(group), width), tokenizer.eos)
            targets = torch.full((len(group), width), -1)
            for row, (prompt, answer) in enumerate(group):
                whole = torch.tensor(prompt + answer)
                ids[row, :len(whole) - 1] = whole[:-1]
                targets[row, len(prompt) - 1:len(whole) - 1] = whole[len(prompt):]
            yield ids, targets


def score(model, tokenizer, split, count, seed="validation"):
    """Accuracy per field and of the whole answer on count lines of a split."""
    generator = generate.Generator(split, seed)
    lines = [generator.line() for _ in range(count)]
    answers = net.greedy(model, [tokenizer.encode(generate.prompt_of(line), bos=True) for line, _ in lines], tokenizer.eos)
    hits = dict.fromkeys(["exact", "severity", "component", "cause", "action"], 0)
    for answer, (_, want) in zip(answers, lines):
        text = tokenizer.decode(answer)
        hits["exact"] += text == generate.answer_of(want)
        try:
            got = json.loads(text)
        except ValueError:
            got = {}
        for field in want:
            hits[field] += isinstance(got, dict) and got.get(field) == want[field]
    return {name: round(n / count, 3) for name, n in hits.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="build/models/log-triage")
    parser.add_argument("--steps", type=int, default=3800)
    parser.add_argument("--focus", type=float, default=1.0, help="how much of the first lines are bare and with numbers")
    parser.add_argument("--minutes", type=float, default=1e9, help="end by then even if there are steps left")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--drop", type=float, default=0.0)
    parser.add_argument("--init", help="model.pt to continue from")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    rng = random.Random(args.seed)

    if args.init:
        tokenizer = tok.Tokenizer.load(os.path.join(os.path.dirname(args.init), "tokenizer.json"))
    else:
        corpus = generate.Generator("train", "tokenizer")
        texts = []
        for _ in range(12000):
            line, triage = corpus.line()
            texts += [generate.prompt_of(line), generate.answer_of(triage)]
        tokenizer = tok.learn(texts, net.CONFIG["vocab"])
    tokenizer.save(os.path.join(args.out, "tokenizer.json"))

    model = net.Llama(drop=args.drop)
    if args.init:
        model.load_state_dict(torch.load(args.init))
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    decay = [p for p in model.parameters() if p.dim() == 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05},
                                   {"params": [p for p in model.parameters() if p.dim() != 2], "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.98))
    average = net.Llama()  # of the weights over the last few hundred steps: this is what is kept
    average.load_state_dict(model.state_dict())
    average.eval()
    started, running = time.time(), None
    lines = generate.Generator("train", args.seed)
    lines.focus = args.focus
    for step, (ids, targets) in enumerate(batches(lines, tokenizer, args.batch, rng), 1):
        progress = min(1, max(step / args.steps, (time.time() - started) / 60 / args.minutes))
        lines.focus = args.focus * max(0.0, 1 - progress / 0.6)
        rate = args.rate * min(step / 60, 1, max(0.01, (1 - progress) / 0.4))  # warm up, hold, then fall in a line
        for group in optimizer.param_groups:
            group["lr"] = rate
        learn = targets >= 0
        loss = F.cross_entropy(model.logits(model.hidden(ids, learn)), targets[learn])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.995, 1 - 1 / (step / 4 + 1))
            for mean, now in zip(average.parameters(), model.parameters()):
                mean.lerp_(now, 1 - keep)
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 25 == 0:
            print(f"step {step} loss {running:.4f} rate {rate:.5f} {time.time() - started:.0f} s", flush=True)
        if step % 300 == 0 or progress == 1:
            torch.save(average.state_dict(), os.path.join(args.out, "model.pt"))
            if progress < 1:
                print("dev", score(average, tokenizer, "dev", 150), flush=True)
        if progress == 1:
            break
    for split in ("train", "names", "dev"):
        print(split, score(average, tokenizer, split, 400), flush=True)


if __name__ == "__main__":
    main()
