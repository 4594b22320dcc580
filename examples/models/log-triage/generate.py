#!/usr/bin/env python3
"""Writes log lines with their triage: the data of the log-triage model (standard library only).

    generate.py --split train|names|dev|heldout --count N --seed S  > lines.jsonl

train:   training templates, training names and numbers
names:   training templates with held-out names and numbers
dev:     development templates; held-out clauses, line styles, names and numbers
heldout: test templates, the rest as dev (what eval.jsonl is made from)
"""
import argparse
import json
import os
import random
import re

import lexicon as lx

SEVERITIES = ["info", "warning", "error", "critical"]
SPLITS = {"train": "", "names": "", "dev": "*", "heldout": "!"}  # the mark of their templates
CODE = {"C": "critical", "E": "error", "W": "warning", "I": "info", "N": None}
SYLLABLES = "ba ker lo min tra vex dol sig pho nar cu est win gal rud tem hyb oak fir mo zel qui sto pla".split()
ALL_HELDOUT_NAMES = {name for names in lx.HELDOUT.values() for name in names}
HERE = os.path.dirname(os.path.abspath(__file__))
SLOT = re.compile(r"\{(\w+)\}")
GROUP = re.compile(r"(?<!\\)\(([^()]*\|[^()]*)\)")


class Cause:
    """One [component cause soft hard] section: its templates by split."""

    def __init__(self, component, name, soft, hard):
        self.component, self.name, self.soft, self.hard = component, name, soft, hard
        self.templates = {"": [], "*": [], "!": []}

    def action(self, severity):
        return {"info": "none", "warning": self.soft}.get(severity, self.hard)


def load_templates(path=os.path.join(HERE, "templates.txt")):
    causes = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                causes.append(Cause(*line.strip("[]").split()))
                continue
            match = re.match(r"([CEWIN])([*!]?) (.+)$", line)
            if not match:
                raise SystemExit(f"{path}:{number}: expected '<C|E|W|I|N>[*!] text'")
            causes[-1].templates[match[2]].append((CODE[match[1]], match[3]))
    return causes


class Generator:
    def __init__(self, split, seed):
        if split not in SPLITS:
            raise ValueError(f"unknown split {split}")
        self.rng = random.Random(f"{split}/{seed}")
        self.kind = SPLITS[split]
        self.templates_heldout = self.kind != ""
        self.names_heldout = split != "train"
        self.names = lx.HELDOUT if self.names_heldout else lx.TRAIN
        self.causes = load_templates()
        self.by_number = {}  # slot -> [(cause, training template)]
        for cause in self.causes:
            for fixed, text in cause.templates[""]:
                if fixed is None:
                    slot = next(s for s in SLOT.findall(text) if s in lx.NUMERIC or s == "att")
                    self.by_number.setdefault(slot, []).append((cause, text))
        self.focus = 0.0  # training sets it from 1 down to 0: more numbers and barer lines to begin with

    def clause(self, pair):
        return self.rng.choice(pair[1 if self.templates_heldout else 0])

    def number(self, slot, low, high):
        """A number of [low, high] that belongs to this split: each slot holds out another seventh of all numbers."""
        residue = list(lx.NUMERIC).index(slot) if slot in lx.NUMERIC else 3
        if high - low < 6:
            return self.rng.randint(low, high)
        while True:
            # Wide ranges are drawn by magnitude, else nearly all numbers would have the most digits.
            if high > 20 * max(low, 1):
                value = round(max(low, 1) * (high / max(low, 1)) ** self.rng.random())
            else:
                value = self.rng.randint(low, high)
            if ((value - residue) % lx.HELDOUT_MODULUS == 0) == self.names_heldout and low <= value <= high:
                return value

    def fill(self, slot, state):
        rng = self.rng
        if slot in lx.NUMERIC:
            ranges = lx.NUMERIC[slot]
            state["severity"] = rng.choice([s for s in SEVERITIES if s in ranges])
            value = self.number(slot, *ranges[state["severity"]])
            return f"{value / 10:.1f}" if slot == "volt" else str(value)
        if slot == "att":  # the last attempt of several is an error, an earlier one a warning
            last = rng.choice([3, 4, 5, 6, 8, 10] if not self.names_heldout else [3, 5, 7, 9, 12])
            state["severity"] = rng.choice(["warning", "error"])
            now = last if state["severity"] == "error" else rng.randint(1, last - 1)
            return rng.choice(["{}/{}", "{} of {}"]).format(now, last)
        if slot in ("n", "lat2"):
            return str(rng.choice([rng.randint(2, 9), rng.randint(10, 99), rng.randint(100, 900)]))
        simple = {
            "d": lambda: str(rng.randint(0, 9)), "pid": lambda: str(rng.randint(90, 9999)),
            "big": lambda: str(rng.randint(1000, 999999)), "pct": lambda: str(rng.randint(3, 97)),
            "hex": lambda: f"0x{rng.randint(4096, 1048575):x}", "port": lambda: str(rng.choice([22, 443, 502, 1883, 8080, 8883])),
            "ip": lambda: f"{rng.choice(['10.0', '192.168', '172.16'])}.{rng.randint(0, 99)}.{rng.randint(1, 254)}",
            "mac": lambda: ":".join(f"{rng.randint(0, 255):02x}" for _ in range(4)),
            "reg": lambda: str(rng.randint(30001, 49999)), "ver": lambda: f"{rng.randint(0, 9)}.{rng.randint(0, 19)}",
            "ups": lambda: rng.choice(self.names["ups"]),
        }
        if slot in simple:
            return simple[slot]()
        name = rng.choice(self.names[slot])
        return self.scramble(name) if not self.names_heldout and rng.random() < 0.6 else name

    def scramble(self, name):
        """A made-up name of the same shape: what a name says must not matter to the model."""
        rng = self.rng
        while True:
            if rng.random() < 0.3 and name.isalnum():
                name = rng.choice(SYLLABLES) + rng.choice(SYLLABLES) + rng.choice(["", "-", "_", ""]) + rng.choice(["", "1", "x2", "d"])
            letters = list(name)
            for i, c in enumerate(letters):
                if c.isdigit():
                    letters[i] = str(rng.randint(0, 9))
                elif c.isalpha() and rng.random() < 0.7:
                    letters[i] = rng.choice("aeiou" if c.lower() in "aeiou" else "bcdfghjklmnprstvwz")
            made = "".join(letters)
            if made not in ALL_HELDOUT_NAMES:
                return made

    def expand(self, text, state):
        text = GROUP.sub(lambda m: self.rng.choice(m[1].split("|")), text)
        return SLOT.sub(lambda m: m[0] if m[1] == "m" else self.fill(m[1], state), text).replace("\\", "")

    def wrap(self, pair, message):
        return self.expand(self.clause(pair), {}).replace("{m}", message)

    def modify(self, message, severity):
        """Adds clauses that change the severity, or that only look as if they did: (message, context, severity)."""
        rng, level, context = self.rng, SEVERITIES.index(severity), "none"
        if rng.random() < 0.22:
            message = message + "; " + self.expand(self.clause(lx.NEUTRAL), {})
        draw = rng.random()
        if draw < 0.13:
            message, level, context = self.wrap(lx.RESOLVED, message), 0, "resolved"
        elif draw < 0.21:
            message, level, context = self.wrap(lx.SIMULATED, message), 0, "test"
        elif draw < 0.36:
            many = rng.random() < 0.6
            count = self.number("rep", 10, 400) if many else self.number("rep", 2, 9)
            message = self.clause(lx.REPEATED).replace("{m}", message).replace("{rep}", str(count))
            if many:
                context, level = "repeated", min(level + 1, 3) if level > 0 else 0
        elif draw < 0.48:
            message, level, context = self.wrap(lx.STANDBY, message), max(level - 1, 0), "standby"
        elif draw < 0.53:
            message = self.wrap(lx.PRIMARY, message)
        return message, context, SEVERITIES[level]

    def weaken(self, message):
        """Training only: drops words or turns clauses round, so that no single word or order decides."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.25:
            rate = rng.uniform(0.05, 0.35)
            kept = [w for w in message.split(" ") if not w.isalpha() or rng.random() > rate]
            return " ".join(kept) if len(kept) > 2 else message
        if draw < 0.40:
            mark = rng.choice([", ", ": ", " of ", " on ", " for "])
            parts = message.split(mark)
            if len(parts) == 2:
                return rng.choice([", ", ": ", " - ", " "]).join(reversed(parts))
        return message

    def compose(self, parts):
        """Training only: a random line head. Its last mark is one that no held-out style has."""
        rng = self.rng
        fields = rng.sample(parts, rng.randint(1, 3))
        between = rng.choice([" ", " - ", ", ", "/", "; "])
        around = rng.choice(["{}", "{}", "<{}>", "{{{}}}", "*{}", "@{}"])
        return between.join(around.format(f) for f in fields) + rng.choice([" - ", " > ", " # ", " :: ", "; ", " ~ "])

    def style(self, message, cause, severity):
        rng = self.rng
        styles = lx.STYLES_HELDOUT if self.templates_heldout else lx.STYLES_TRAIN
        form = rng.choices([s for _, s in styles], [w for w, _ in styles])[0]
        known = lx.COMPONENT_PROC[cause.component][1 if self.names_heldout else 0].split()
        proc = rng.choice(known) if rng.random() < 0.5 else rng.choice(self.names["proc"])
        shown = severity if rng.random() < 0.2 else rng.choice(SEVERITIES)  # printed levels are often wrong
        minute = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
        fields = dict(
            m=message.replace('"', "'"), proc=proc, pid=self.fill("pid", {}), host=rng.choice(self.names["host"]),
            pri=rng.choice(lx.LEVEL_PRI[shown]), lvl=rng.choice(lx.LEVEL_WORDS[shown]),
            up=f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02}", iso=f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{minute}Z",
            ts=rng.choice("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()) + f" {rng.randint(1, 28)} {minute}")
        if not self.templates_heldout and rng.random() < 0.4:
            pick = [proc, f"{proc}[{fields['pid']}]", fields["host"], fields["lvl"], fields["iso"], fields["ts"], fields["up"]]
            return self.compose(pick) + message
        return form.format(**fields)

    def line(self):
        """One (log line, triage) pair."""
        rng = self.rng
        cause = rng.choice(self.causes)
        fixed, text = rng.choice(cause.templates[self.kind])
        if self.kind == "" and rng.random() < 0.3 + 0.5 * self.focus:  # numbers take the most examples to learn
            cause, text = rng.choice(self.by_number[rng.choice(list(self.by_number))])
            fixed = None
        state = {"severity": fixed}
        message = self.expand(text, state)
        fault = severity = fixed or state["severity"]
        context = "none"
        if not self.templates_heldout:
            message = self.weaken(message)
        if rng.random() >= 0.7 * self.focus:
            message, context, severity = self.modify(message, severity)
        line = message if rng.random() < 0.7 * self.focus else self.style(message, cause, severity)
        return line, {
            "component": cause.component, "cause": cause.name, "fault": fault, "context": context, "severity": severity,
            "action": cause.action(severity)}


def prompt_of(line):
    """The text the model was trained on; the chat template of the GGUF makes the same from one user message."""
    return f"[INST] {line} [/INST]"


def answer_of(triage):
    return json.dumps(triage, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=list(SPLITS), default="train")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", default="1")
    args = parser.parse_args()
    generator = Generator(args.split, args.seed)
    for _ in range(args.count):
        line, triage = generator.line()
        print(json.dumps({"prompt": prompt_of(line), "expect": triage}))


if __name__ == "__main__":
    main()
