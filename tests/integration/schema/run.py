#!/usr/bin/env python3
"""Random JSON schemas: what their grammars write is what an independent validator takes.

    run.py WALKS [SCHEMAS]

WALKS is the program schema_walks, which writes texts of each schema's grammar.
"""
import datetime
import json
import random
import subprocess
import sys
import uuid

import jsonschema

# The validator's own time is that of draft 3, without a zone. Python has no year 0.
FORMATS = {
    "date": lambda text: datetime.date.fromisoformat(text.replace("0000-", "2001-", 1)),
    "time": lambda text: datetime.datetime.fromisoformat("2001-01-01T" + text).tzinfo.utcoffset(None),
    "date-time": lambda text: datetime.datetime.fromisoformat(text.replace("0000-", "2001-", 1)).tzinfo.utcoffset(None),
    "uuid": lambda text: uuid.UUID(text) and text[8] + text[23] == "--" or int("no uuid"),
}
NAMES = ["a", "ab", "abc", "b", "é", "na me", 'q"uote', "]^-\\"]
TREE = {
    "type": "object",
    "properties": {"leaf": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
    "required": ["next"],
    "additionalProperties": False,
}


def text(r):
    if r.random() < 0.3:
        return {"type": "string", "format": r.choice(list(FORMATS))}
    if r.random() < 0.5:
        return {"type": "string", "minLength": r.randrange(3), "maxLength": r.randrange(3, 8)}
    return {"type": "string"}


def number(r):
    return r.choice(
        [
            {"type": "integer"},
            {"type": "number"},
            {"type": "integer", "minimum": 0},
            {"type": "integer", "minimum": 1},
            {"type": "integer", "minimum": -3, "maximum": 40},
        ]
    )


def listed(r):
    values = ["red", 'gr"een', 3, -1.5, True, None, [1, "x"], {"k": []}, "日本", "tab\t"]
    if r.random() < 0.3:
        return {"const": r.choice(values)}
    return {"enum": r.sample(values, r.randrange(1, 5))}


def array(r, depth):
    schema = {"type": "array", "items": anything(r, depth + 1)}
    if r.random() < 0.5:
        schema.update(minItems=r.randrange(3), maxItems=r.randrange(2, 5))
    return schema


def alternatives(r, depth):
    if r.random() < 0.5:
        return {"anyOf": [anything(r, depth + 1) for _ in range(r.randrange(1, 4))]}

    def kind(name):
        return {
            "type": "object",
            "properties": {"kind": {"const": name}, "it": anything(r, depth + 1)},
            "required": ["kind", "it"],
            "additionalProperties": False,
        }

    return {"oneOf": [kind("one"), kind("other"), {"type": "null"}]}


def thing(r, depth):
    names = r.sample(NAMES, r.randrange(len(NAMES)))
    schema = {
        "type": "object",
        "properties": {name: anything(r, depth + 1) for name in names},
        "required": [name for name in names if r.random() < 0.5],
    }
    more = r.choice([None, False, {"type": "integer"}, {"enum": ["only"]}])
    if more is not None:
        schema["additionalProperties"] = more
    return schema


def anything(r, depth):
    simple = [text, number, listed, lambda r: {"type": r.sample(["boolean", "null", "string", "integer"], 2)}]
    if depth > 3 or r.random() < 0.4:
        return r.choice(simple)(r)
    if depth > 0 and r.random() < 0.15:
        return {"$ref": "#/$defs/tree"}
    return r.choice([array, alternatives, thing, thing])(r, depth)


def main():
    walks, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    r = random.Random(7)
    schemas = [{**anything(r, 0), "$defs": {"tree": TREE}} for _ in range(count)]
    lines = "".join(json.dumps(schema) + "\n" for schema in schemas)
    output = subprocess.run([walks], input=lines, capture_output=True, text=True, check=False)
    if output.returncode != 0:
        sys.exit(f"schema_walks: {output.stderr}")
    answers = output.stdout.split("\n")[:-1]
    assert len(answers) == count, (len(answers), count)
    checker = jsonschema.FormatChecker(formats=())
    for name, check in FORMATS.items():
        checker.checkers[name] = (lambda value, check=check: not isinstance(value, str) or check(value) is not None, ValueError)
    checked = wrong = 0
    kinds = set()
    for schema, answer in zip(schemas, answers):
        validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
        for written in json.loads(answer):
            checked += 1
            try:
                value = json.loads(written)
                kinds.add(type(value).__name__)
                error = next(validator.iter_errors(value), None)
            except ValueError as broken:
                error = broken
            if error is not None:
                wrong += 1
                print(f"{json.dumps(schema)}\n  writes {written}\n  {error}", file=sys.stderr)
    # A validator that takes everything would show nothing.
    assert any(jsonschema.Draft202012Validator(schemas[0]).iter_errors(value) for value in (1, "x", {}, [], None))
    print(f"{count} schemas, {checked} texts, {wrong} refused by the validator; {len(kinds)} kinds of value")
    if wrong or checked < 4 * count or len(kinds) < 7:
        sys.exit(1)


if __name__ == "__main__":
    main()
