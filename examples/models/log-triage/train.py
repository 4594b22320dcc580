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


class Muon:
    """Momentum made orthogonal by Newton-Schulz steps (Jordan et al. 2024), for the matrices inside the network."""

    def __init__(self, parameters, momentum=0.95, decay=0.05):
        self.momentum, self.decay = momentum, decay
        shapes = {}
        for p in parameters:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(group, torch.zeros(len(group), *shape)) for shape, group in shapes.items()]

    @staticmethod
    def orthogonal(x):
        tall = x.shape[1] > x.shape[2]
        x = x.transpose(1, 2) if tall else x
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            a = x @ x.transpose(1, 2)
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.transpose(1, 2) if tall else x

    @torch.no_grad()
    def step(self, rate):
        for group, memory in self.groups:
            gradient = torch.stack([p.grad for p in group])
            memory.lerp_(gradient, 1 - self.momentum)
            update = self.orthogonal(gradient.lerp(memory, self.momentum))
            scale = rate * max(1.0, group[0].shape[0] / group[0].shape[1]) ** 0.5
            for p, direction in zip(group, update):
                p.mul_(1 - rate * self.decay).sub_(direction, alpha=scale)


class Reader(torch.nn.Module):
    """Guesses cause and fault from what enters the last block, at every position of a prompt's second half.

    Used in training alone: one answer teaches the fault at one position, this at all that follow the deciding word or number.
    """

    def __init__(self, causes, width):
        super().__init__()
        self.causes = causes
        self.linear = torch.nn.Linear(width, len(causes) + len(generate.SEVERITIES))

    def loss(self, entering, marks, triages):
        rows, columns = marks.nonzero(as_tuple=True)
        guess = self.linear(entering[rows, columns])
        cause = torch.tensor([self.causes.index(t["cause"]) for t in triages])[rows]
        fault = torch.tensor([generate.SEVERITIES.index(t["fault"]) for t in triages])[rows]
        return F.cross_entropy(guess[:, :len(self.causes)], cause) + F.cross_entropy(guess[:, len(self.causes):], fault)


def batches(generator, tokenizer, size, rng):
    """Endless batches of similar lengths: ids [B,T], targets [B,T] (-1 where there is nothing to learn), reader's marks, triages."""
    while True:
        rows = []
        for _ in range(size * 16):
            line, triage = generator.line()
            prompt = tokenizer.encode(generate.prompt_of(line), bos=True)
            answer = tokenizer.encode(generate.answer_of(triage)) + [tokenizer.eos]
            rows.append((prompt, answer, triage))
        rows.sort(key=lambda r: len(r[0]) + len(r[1]))
        groups = [rows[i:i + size] for i in range(0, len(rows), size)]
        rng.shuffle(groups)
        for group in groups:
            width = max(len(p) + len(a) for p, a, _ in group) - 1
            ids = torch.full((len(group), width), tokenizer.eos)
            targets = torch.full((len(group), width), -1)
            marks = torch.zeros(len(group), width, dtype=torch.bool)
            for row, (prompt, answer, _) in enumerate(group):
                whole = torch.tensor(prompt + answer)
                ids[row, :len(whole) - 1] = whole[:-1]
                targets[row, len(prompt) - 1:len(whole) - 1] = whole[len(prompt):]
                marks[row, len(prompt) // 2:len(prompt)] = True
            yield ids, targets, marks, [triage for _, _, triage in group]


def score(model, tokenizer, split, count, seed="validation"):
    """Accuracy per field and of the whole answer on count lines of a split."""
    generator = generate.Generator(split, seed)
    lines = [generator.line() for _ in range(count)]
    answers = net.greedy(model, [tokenizer.encode(generate.prompt_of(line), bos=True) for line, _ in lines], tokenizer.eos)
    hits = dict.fromkeys(["exact"] + tok.FIELDS, 0)
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
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=1e9, help="end by then even if there are steps left")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.015, help="of the matrices; embeddings and norms learn at a tenth of it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--drop", type=float, default=0.0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)
    rng = random.Random(args.seed)

    corpus = generate.Generator("train", "tokenizer")
    texts = []
    for _ in range(12000):
        line, triage = corpus.line()
        texts += [generate.prompt_of(line), generate.answer_of(triage)]
    tokenizer = tok.learn(texts, net.CONFIG["vocab"])
    tokenizer.save(os.path.join(args.out, "tokenizer.json"))

    model = net.Llama(drop=args.drop)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("blk.")]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or not name.startswith("blk.")]
    reader = Reader([cause.name for cause in generate.load_templates()], model.config["embd"])
    others += reader.parameters()
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=args.rate / 10, betas=(0.9, 0.98), weight_decay=0.0)
    average = net.Llama()  # of the weights over the last few hundred steps: this is what is kept
    average.load_state_dict(model.state_dict())
    average.eval()
    started, running = time.time(), None
    lines = generate.Generator("train", args.seed)
    lines.focus = 1.0
    for step, (ids, targets, marks, triages) in enumerate(batches(lines, tokenizer, args.batch, rng), 1):
        progress = min(1, max(step / args.steps, (time.time() - started) / 60 / args.minutes))
        lines.focus = max(0.0, 1 - progress / 0.4)
        factor = min(step / 60, 1, max(0.01, (1 - progress) / 0.8))  # warm up, hold, then fall in a line
        for group in adam.param_groups:
            group["lr"] = args.rate / 10 * factor
        learn = targets >= 0
        hidden, entering = model.hidden_and_input(ids, learn)
        loss = F.cross_entropy(model.logits(hidden), targets[learn])
        guess = reader.loss(entering, marks, triages)
        model.zero_grad(set_to_none=True)
        reader.zero_grad(set_to_none=True)
        (loss + 0.2 * guess).backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(args.rate * factor)
        adam.step()
        with torch.no_grad():
            keep = min(0.99, 1 - 1 / (step / 4 + 1))
            for mean, now in zip(average.parameters(), model.parameters()):
                mean.lerp_(now, 1 - keep)
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 25 == 0:
            print(f"step {step} loss {running:.4f} reader {guess.item():.3f} factor {factor:.3f} {time.time() - started:.0f} s", flush=True)
        if step % 500 == 0 or progress == 1:
            torch.save(average.state_dict(), os.path.join(args.out, "model.pt"))
            if progress < 1:
                print("dev", score(average, tokenizer, "dev", 200), flush=True)
        if progress == 1:
            break
    for split in ("train", "names", "dev"):
        print(split, score(average, tokenizer, split, 400), flush=True)


if __name__ == "__main__":
    main()
