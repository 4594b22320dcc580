"""The network: llama architecture as llama.cpp computes it (interleaved RoPE, RMSNorm, SwiGLU, tied output)."""
import math

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {"vocab": 1024, "embd": 256, "layers": 4, "heads": 4, "kv_heads": 2, "ff": 512, "context": 512,
          "rope_base": 10000.0, "eps": 1e-5}


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rope_table(length, head, base):
    angle = torch.outer(torch.arange(length).float(), base ** (-torch.arange(0, head, 2).float() / head))
    return torch.cos(angle), torch.sin(angle)


def rotate(x, cos, sin):
    """Rotates the pairs (0,1), (2,3) ... of the last dimension: llama.cpp's NORM rope."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head = c["heads"], c["kv_heads"], c["embd"] // c["heads"]
        kv = self.kv_heads * self.head
        self.attn_norm, self.ffn_norm = RmsNorm(c["embd"], c["eps"]), RmsNorm(c["embd"], c["eps"])
        self.attn_q = nn.Linear(c["embd"], c["embd"], bias=False)
        self.attn_k = nn.Linear(c["embd"], kv, bias=False)
        self.attn_v = nn.Linear(c["embd"], kv, bias=False)
        self.attn_output = nn.Linear(c["embd"], c["embd"], bias=False)
        self.ffn_gate = nn.Linear(c["embd"], c["ff"], bias=False)
        self.ffn_up = nn.Linear(c["embd"], c["ff"], bias=False)
        self.ffn_down = nn.Linear(c["ff"], c["embd"], bias=False)

    def forward(self, x, cos, sin, mask, drop, rows=None):
        """rows: a mask of the positions whose output is wanted; what follows the attention is computed for those alone."""
        b, t, e = x.shape
        y = self.attn_norm(x)
        q = self.attn_q(y).view(b, t, self.heads, self.head).transpose(1, 2)
        k = self.attn_k(y).view(b, t, self.kv_heads, self.head).transpose(1, 2)
        v = self.attn_v(y).view(b, t, self.kv_heads, self.head).transpose(1, 2)
        group = self.heads // self.kv_heads
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(self.head) + mask, -1)
        mixed = (weights @ v).transpose(1, 2).reshape(b, t, e)
        if rows is not None:
            x, mixed = x[rows], mixed[rows]
        x = x + F.dropout(self.attn_output(mixed), drop, self.training)
        y = self.ffn_norm(x)
        return x + F.dropout(self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y)), drop, self.training)


class Llama(nn.Module):
    def __init__(self, config=None, drop=0.0):
        super().__init__()
        c = self.config = dict(config or CONFIG)
        self.drop = drop
        self.token_embd = nn.Embedding(c["vocab"], c["embd"])
        self.blk = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.output_norm = RmsNorm(c["embd"], c["eps"])
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 if p is not self.token_embd.weight else 0.04)
        for block in self.blk:
            for layer in (block.attn_output, block.ffn_down):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * c["layers"]))
        cos, sin = rope_table(c["context"], c["embd"] // c["heads"], c["rope_base"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden(self, ids, rows=None):
        """What the output matrix reads: at every position, or at those of the mask rows alone."""
        return self.hidden_and_input(ids, rows)[0]

    def hidden_and_input(self, ids, rows=None):
        """hidden(), and what enters the last block at every position."""
        t = ids.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        x = self.token_embd(ids)
        for block in self.blk[:-1]:
            x = block(x, self.cos[:t], self.sin[:t], mask, self.drop)
        return self.output_norm(self.blk[-1](x, self.cos[:t], self.sin[:t], mask, self.drop, rows)), x

    def logits(self, hidden):
        return hidden @ self.token_embd.weight.T


@torch.no_grad()
def greedy(model, prompts, eos, limit=40):
    """Greedy continuations of prompts (lists of ids); equal-length prompts are batched. Stops at eos, which is left out."""
    out = [None] * len(prompts)
    by_length = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    for rows in by_length.values():
        ids = torch.tensor([prompts[i] for i in rows])
        start, done = ids.shape[1], torch.zeros(len(rows), dtype=torch.bool)
        while ids.shape[1] < start + limit and not done.all():
            step = model.logits(model.hidden(ids)[:, -1]).argmax(-1)
            ids = torch.cat((ids, step[:, None]), 1)
            done |= step == eos
        for i, row in zip(rows, ids[:, start:].tolist()):
            out[i] = row[:row.index(eos)] if eos in row else row
    return out
