"""Byte-level BPE tokenizer, equal to llama.cpp's tokenizer.ggml.model "gpt2" with pre-tokenizer "gpt-2".

Every digit is a token of its own, so that a number never seen is made of digits that were. The special strings are cut
out first (longest first), as llama.cpp does for USER_DEFINED tokens. Python's re has no \\p{L}: the classes used here agree with llama.cpp's on ASCII, Latin-1 letters
and punctuation, which is all that the generator writes (verify.py compares the two).
"""
import collections
import json
import re

BOS, EOS = "<s>", "</s>"
FIELDS = ["component", "cause", "fault", "context", "severity", "action"]  # of the answer, in the order it is written
USER_DEFINED = ["[INST]", "[/INST]", '{"component":"', *[f'","{field}":"' for field in FIELDS[1:]], '"}']
SPECIAL = [BOS, EOS] + USER_DEFINED
PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:_|[^\s\w])+|\s+(?!\S)|\s+")
CUT = re.compile("(" + "|".join(re.escape(s) for s in sorted(USER_DEFINED, key=len, reverse=True)) + ")")


def byte_symbols():
    """GPT-2's printable stand-in for each byte value."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for value in range(256):
        if value in keep:
            table[value] = chr(value)
        else:
            table[value] = chr(256 + extra)
            extra += 1
    return table


BYTE = byte_symbols()


def pieces(text):
    """Pre-tokenized pieces of text that holds no special string, in byte symbols."""
    for match in PIECE.finditer(text):
        yield "".join(BYTE[b] for b in match[0].encode())


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.tokens = SPECIAL + [BYTE[b] for b in range(256)] + ["".join(m) for m in self.merges]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            raise ValueError("duplicate token")
        self.bos, self.eos = self.ids[BOS], self.ids[EOS]
        self.cache = {}

    def bpe(self, piece):
        parts = list(piece)
        while len(parts) > 1:
            rank, at = min((self.ranks.get((parts[i], parts[i + 1]), 1 << 30), i) for i in range(len(parts) - 1))
            if rank == 1 << 30:
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return [self.ids[p] for p in parts]

    def encode(self, text, bos=False):
        out = [self.bos] if bos else []
        for part in CUT.split(text):
            if part in self.ids and part in USER_DEFINED:
                out.append(self.ids[part])
                continue
            for piece in pieces(part):
                if piece not in self.cache:
                    if len(self.cache) > 200000:
                        self.cache.clear()
                    self.cache[piece] = self.bpe(piece)
                out.extend(self.cache[piece])
        return out

    def decode(self, ids):
        back = {symbol: value for value, symbol in BYTE.items()}
        data = b""
        for i in ids:
            token = self.tokens[i]
            data += token.encode() if token in SPECIAL else bytes(back[c] for c in token)
        return data.decode(errors="replace")

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"merges": self.merges}, file)

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as file:
            return Tokenizer(json.load(file)["merges"])


def learn(texts, vocab_size):
    """Learns the merges from texts; ties are broken by the pair itself, so the result is reproducible."""
    words = collections.Counter()
    for text in texts:
        for part in CUT.split(text):
            if part not in USER_DEFINED:
                words.update(pieces(part))
    split = {word: list(word) for word in words}
    merges = []
    counts = collections.Counter()
    where = collections.defaultdict(set)

    def count(word, sign):
        parts = split[word]
        for pair in zip(parts, parts[1:]):
            if any(c.isdigit() for part in pair for c in part):
                continue
            counts[pair] += sign * words[word]
            where[pair].add(word)

    for word in words:
        count(word, 1)
    while len(merges) < vocab_size - 256 - len(SPECIAL):
        best = max(counts, key=lambda pair: (counts[pair], pair))
        joined = best[0] + best[1]
        merges.append(best)
        for word in list(where.pop(best)):
            count(word, -1)
            parts, i = split[word], 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = [joined]
                i += 1
            count(word, 1)
        counts.pop(best, None)
    return Tokenizer(merges)
