#!/usr/bin/env python3
"""Renders each chat below by each template with python3-jinja2, set up as Hugging Face's transformers do, and writes prompts.json,
which the tests hold the worker's renderer to. `fault`: the language refuses; `raise`: the template does, by raise_exception.

    make_prompts.py [folder of templates] [output]
"""
import copy
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = pathlib.Path(__file__).parent
NOW = 1769817600  # 2026-01-31
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Größe"},
        "unit": {"type": "string", "enum": ["c", "f"]},
        "days": {"type": "integer", "default": 1},
    },
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": 'Tells the weather of a <place> & "time"', "parameters": CITY}},
    {"type": "function", "function": {"name": "reboot", "description": "Reboots", "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = {"city": "Zürich", "days": 2}
CALL = {
    "role": "assistant", "content": None,
    "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}],
}
RESULT = {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": '{"t": 20}'}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "You are terse.\n"}
CHATS = {
    "one": {"messages": [user("Hello there")]},
    "system": {"messages": [SYSTEM, user("  2+2? <|im_end|> {{ x }} ")]},
    "turns": {"messages": [SYSTEM, user("a"), assistant("b"), user("ü€😀")]},
    "thought": {"messages": [user("a"), assistant("<think>\nhm\n</think>\n\nb"), user("c")]},
    "no_thinking": {"messages": [user("a")], "thinking": False},
    "thinking": {"messages": [user("a")], "thinking": True},
    "closed": {"messages": [user("a"), assistant("b")], "generation_prompt": False},
    "tools": {"messages": [SYSTEM, user("weather?")], "tools": TOOLS},
    "tools_alone": {"messages": [user("weather?")], "tools": TOOLS},
    "result": {"messages": [user("weather?"), CALL, RESULT], "tools": TOOLS},
    "after_result": {"messages": [user("weather?"), CALL, RESULT, assistant("It is 20."), user("thanks")], "tools": TOOLS},
}


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)
    return made


def calls_of(chat):
    return [call["function"] for message in chat["messages"] for call in message.get("tool_calls", [])]


def rendered(template, chat, arguments_as_text, empty_content, tools_undefined):
    chat = copy.deepcopy(chat)
    for message in chat["messages"]:
        if empty_content and message["content"] is None:
            message["content"] = ""
    if arguments_as_text:
        for function in calls_of(chat):
            function["arguments"] = to_json(function["arguments"], separators=(",", ":"))
    more = {name: chat["thinking"] for name in ("enable_thinking", "thinking") if "thinking" in chat}
    if not tools_undefined:
        more["tools"] = chat.get("tools")
    return template.render(messages=chat["messages"], documents=None, bos_token="<BOS>", eos_token="<EOS>",
                           add_generation_prompt=chat.get("generation_prompt", True), **more)


def in_some_form(template, chat):
    # As the worker does: what transformers give, and small changes where a template cannot work with that.
    error = ""
    for form in range(8):
        if (form & 3 and not calls_of(chat)) or (form & 4 and "tools" in chat):
            continue
        try:
            return {"text": rendered(template, chat, bool(form & 1), bool(form & 2), bool(form & 4))}
        except Exception as caught:  # pylint: disable=broad-except
            if type(caught) is jinja2.exceptions.TemplateError:
                return {"error": f"raise {caught}"}
            error = error or f"fault {caught}"
    return {"error": error}


def outcome(template, chat):
    made = in_some_form(template, chat)
    first, second = (chat["messages"] + [{}, {}])[:2]
    if made.get("error", "").startswith("raise") and first.get("role") == "system" and second.get("role") == "user":
        merged = copy.deepcopy(chat)
        system = merged["messages"].pop(0)
        merged["messages"][0]["content"] = system["content"] + "\n\n" + merged["messages"][0]["content"]
        again = in_some_form(template, merged)
        return again if "text" in again else made
    return made


def plain(chat):
    """The chat as the test reads it: arguments and tools as JSON text."""
    chat = copy.deepcopy(chat)
    for function in calls_of(chat):
        function["arguments"] = to_json(function["arguments"], separators=(",", ":"))
    for message in chat["messages"]:
        message["content"] = message["content"] or ""
    if "tools" in chat:
        chat["tools"] = to_json(chat["tools"])
    return chat


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "templates"
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / "prompts.json"
    expected = {}
    for path in sorted(folder.glob("*.jinja")):
        template = environment().from_string(path.read_text(encoding="utf-8"))
        expected[path.name] = {name: outcome(template, chat) for name, chat in CHATS.items()}
    document = {"now": NOW, "chats": {name: plain(chat) for name, chat in CHATS.items()}, "expected": expected}
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
