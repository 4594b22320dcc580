"""Types into `skerry run` on a pseudo-terminal and reads what a person would see. Prints TAP.

usage: chat.py SKERRY FOLDER, with SKERRY_API_SOCKET set. The slot "default" repeats, "lab" is a real model.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time

SKERRY, FOLDER = sys.argv[1], sys.argv[2]
HOME = os.path.join(FOLDER, "home")
ENVIRONMENT = {
    "HOME": HOME,
    "TERM": "xterm",
    "LANG": "C.UTF-8",
    "PATH": os.environ["PATH"],
    "SKERRY_API_SOCKET": os.environ["SKERRY_API_SOCKET"],
}
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


class Terminal:
    """A program on a terminal of its own; standard output goes to `out` instead if that is given."""

    def __init__(self, *arguments, out=None, stdin=None):
        self.leader, follower = pty.openpty()
        # Wide enough that no line is wrapped.
        termios.tcsetwinsize(follower, (50, 400))
        self.process = subprocess.Popen(
            [SKERRY, *arguments],
            stdin=follower if stdin is None else stdin,
            stdout=follower if out is None else out,
            stderr=follower,
            env=ENVIRONMENT,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(2), os.O_RDWR)),
        )
        os.close(follower)
        self.seen = ""
        self.all = ""

    def type(self, text):
        os.write(self.leader, text.encode())

    def line(self, text):
        self.type(text + "\n")

    def type_bytes(self, data):
        os.write(self.leader, data)

    def read(self, limit):
        if not select.select([self.leader], [], [], limit)[0]:
            return False
        try:
            data = os.read(self.leader, 65536)
        except OSError:  # the other side is closed
            return False
        text = data.decode(errors="replace")
        self.all += text
        self.seen += text
        return bool(data)

    def until(self, pattern, seconds=30):
        """Reads until the pattern comes; what is before its end is used up."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{pattern!r} did not come; got {self.all[-2000:]!r}")

    def prompt(self):
        self.until(r">>> ")
        # Else a key that is typed at once would go to the terminal's own line editing: Ctrl-D was lost once in many.
        assert not termios.tcgetattr(self.leader)[3] & termios.ICANON, "a prompt before the editor has the terminal"

    def ask(self, text):
        """Types a prompt and waits for its answer, which repeats it, on a line of its own."""
        self.line(text)
        self.until(r"\n" + re.escape(text) + r"\r?\n")
        self.prompt()

    def ends(self, code):
        while self.read(30):
            pass
        self.process.wait(30)
        assert self.process.returncode == code, f"ended with {self.process.returncode}; {self.all[-2000:]!r}"
        os.close(self.leader)


def chat(*arguments, **streams):
    terminal = Terminal("run", "default", *arguments, **streams)
    terminal.until(r"acme/echo 1\.0\.0 raw \(/help")
    terminal.prompt()
    return terminal


def run(*arguments, stdin=b"", code=0):
    """Without a terminal."""
    done = subprocess.run([SKERRY, "run", *arguments], input=stdin, capture_output=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == code, f"{arguments}: {done.returncode}, {done.stderr!r}"
    return done


def answers_and_ends_with_ctrl_d():
    terminal = chat()
    terminal.ask("hello")
    terminal.ask("größe → 😀")
    terminal.type(CTRL_D)
    terminal.ends(0)


def bytes_that_are_no_utf8_swallow_no_keys():
    terminal = chat()
    terminal.type_bytes(b"caf\xe9\n")  # Latin-1: the line feed is no part of it
    terminal.until("\ncaf\ufffd\r?\n")
    terminal.prompt()
    terminal.type_bytes(b"a\xed\xa0\x80b\n")  # a surrogate, which could not be sent
    terminal.until("\na\ufffdb\r?\n")
    terminal.prompt()
    terminal.line("/bye")
    terminal.ends(0)


def bye_ends():
    terminal = chat()
    terminal.line("/bye")
    terminal.ends(0)


def ctrl_c_ends_the_answer_and_not_the_chat():
    terminal = chat()
    long = "x" * 3000
    terminal.line(long)
    terminal.until(r"\nx{10}")
    began = time.monotonic()
    terminal.type(CTRL_C)
    terminal.until(r"\(interrupted\)")
    assert time.monotonic() - began < 4, "the answer went on after Ctrl-C"
    terminal.prompt()
    terminal.ask("still here")
    terminal.line("/show history")
    # The history's own lines begin like the prompt.
    terminal.until(r"<<< x+\r?\n")
    terminal.until(r"<<< still here\r?\n")
    terminal.prompt()
    terminal.type(CTRL_D)
    terminal.ends(0)


def an_interrupted_answer_says_so_to_programs():
    terminal = chat("--json")
    # Nothing shows that the answer began; one that did not begin is not printed.
    for wait in (0.5, 1, 2):
        terminal.line("x" * 3000)
        time.sleep(wait)
        terminal.type(CTRL_C)
        terminal.until(r"\(interrupted\)")
        reason = terminal.until(r'"finish_reason"\s*:\s*"(\w+)"|>>> ').group(1)
        if reason:
            break
    assert reason == "cancelled", reason
    terminal.prompt()
    terminal.line("/bye")
    terminal.ends(0)


def ctrl_c_at_the_prompt_gives_the_line_up():
    terminal = chat()
    terminal.type("not to be sent")
    terminal.type(CTRL_C)
    terminal.prompt()
    terminal.type(CTRL_C)
    terminal.until("ends the chat")
    terminal.prompt()
    terminal.ask("sent")
    terminal.line("/show")
    terminal.until("turns: 2")
    terminal.line("/bye")
    terminal.ends(0)


def several_lines_are_one_prompt():
    terminal = chat()
    terminal.line('"""one')
    terminal.until(r"\.\.\. ")
    terminal.line("/bye")
    terminal.until(r"\.\.\. ")
    terminal.line('three"""')
    terminal.until(r"\none\r\n/bye\r\nthree\r\n")
    terminal.prompt()
    terminal.line("/exit")
    terminal.ends(0)


def the_arrow_recalls_lines_also_of_earlier_chats():
    terminal = chat()
    terminal.ask("to be recalled")
    terminal.type(UP + "\n")
    terminal.until(r"\nto be recalled\r\n")
    terminal.prompt()
    terminal.line("/bye")
    terminal.ends(0)
    terminal = chat()
    terminal.type(UP + UP + " again\n")
    terminal.until(r"\nto be recalled again\r\n")
    terminal.line("/bye")
    terminal.ends(0)
    history = os.path.join(HOME, ".local/state/skerry/run-history")
    assert os.stat(history).st_mode & 0o777 == 0o600
    terminal = chat("--no-history")
    terminal.ask("kept nowhere")
    terminal.line("/bye")
    terminal.ends(0)
    with open(history, encoding="utf-8") as lines:
        assert "kept nowhere" not in lines.read()


def commands_change_how_it_answers():
    terminal = chat()
    terminal.line("/set temperature hot")
    terminal.until("temperature cannot be \"hot\"")
    terminal.line("/set max_tokens 3")
    terminal.until("max_tokens is 3")
    terminal.line("/set verbose on")
    terminal.until("verbose is on")
    terminal.line("hello")
    terminal.until(r"\nhel\r\n")
    terminal.until(r"acme/echo 1\.0\.0 raw \| first token \d+ ms \| .*6 \+ 3 tokens.*cut off by max_tokens")
    terminal.line("/model acme/none")
    terminal.until("not_found")
    terminal.line("/nonsense")
    terminal.until("there is no command /nonsense")
    terminal.line("/help")
    terminal.until("/save FILE")
    terminal.line("/show")
    terminal.until("max_tokens: 3")
    terminal.line("/bye")
    terminal.ends(0)


def a_chat_is_saved_and_taken_up_again():
    terminal = chat()
    terminal.ask("first")
    terminal.line("/save ~/kept.chat")
    terminal.until("saved to ~/kept.chat")
    terminal.line("/clear")
    terminal.until("forgotten")
    terminal.line("/load ~/kept.chat")
    terminal.until("2 turns with default")
    terminal.line("/bye")
    terminal.ends(0)
    with open(os.path.join(HOME, "kept.chat"), encoding="utf-8") as saved:
        messages = json.load(saved)["messages"]
    assert messages == [{"role": "user", "content": "first"}, {"role": "assistant", "content": "first"}], messages


def a_real_model_reads_the_whole_conversation():
    terminal = Terminal("run", "lab", "--verbose", "--temperature", "0")
    terminal.until(r"local/triage")
    terminal.prompt()
    read = []
    for _ in range(2):
        terminal.line("apcupsd | WARNING | supply too low, brownout reset of the board")
        read.append(int(terminal.until(r"\| (\d+) \+ (\d+) tokens").group(1)))
        terminal.prompt()
    terminal.line("/clear")
    terminal.until("forgotten")
    terminal.line("apcupsd | WARNING | supply too low, brownout reset of the board")
    read.append(int(terminal.until(r"\| (\d+) \+ (\d+) tokens").group(1)))
    terminal.prompt()
    terminal.type(CTRL_D)
    terminal.ends(0)
    assert read[1] > read[0] * 1.5, f"the second question is read with the first and its answer: {read}"
    assert read[2] == read[0], f"nothing is left after /clear: {read}"


def answers_alone_are_on_standard_output():
    path = os.path.join(FOLDER, "answers")
    with open(path, "wb") as out:
        terminal = chat("--verbose", out=out)
        terminal.line("/help")
        terminal.until("/bye")
        terminal.line("one")
        terminal.until("tokens")
        terminal.line("two")
        terminal.until("tokens")
        terminal.line("/bye")
        terminal.ends(0)
    with open(path, "rb") as out:
        assert out.read() == b"one\ntwo\n"


def an_answer_cannot_drive_the_terminal():
    hostile = b"\x1b[2J\x1b]0;owned\x07\xc2\x9b31m end"
    read, write = os.pipe()
    os.write(write, hostile)
    os.close(write)
    terminal = Terminal("run", "default", stdin=read)
    os.close(read)
    terminal.until(r"␛\[2J␛\]0;owned␇.31m end")
    terminal.ends(0)
    assert "\x1b" not in terminal.all and "\x9b" not in terminal.all, repr(terminal.all)
    # What reads a pipe gets it as it is.
    assert run("default", stdin=hostile).stdout == hostile + b"\n"


def prompts_come_by_pipe():
    done = run("default", stdin=b"from a pipe")
    assert (done.stdout, done.stderr) == (b"from a pipe\n", b"")
    assert run("default", "Summarise:", stdin=b"a\nb\n").stdout == b"Summarise:\n\na\nb\n\n"
    assert run("default", "alone", "-n", stdin=b"not read").stdout == b"alone\n"
    assert run("default", "--lines", stdin=b"one\n\ntwo\n").stdout == b"one\ntwo\n"
    assert b"nothing to ask" in run("default", stdin=b" \n", code=1).stderr
    assert run("default", "-n", "--stop", "l", "--set", "seed=1", "hello").stdout == b"he\n"
    done = run("default", "hello", "-n", "--json", "--set", "max_tokens=2")
    answer = json.loads(done.stdout)
    assert (answer["text"], answer["finish_reason"]) == ("he", "length"), answer
    assert answer["prompt_tokens"] == 6 and answer["cached_tokens"] == 0, answer


def what_is_wrong_is_said_before_the_first_prompt():
    terminal = Terminal("run", "acme/none")
    terminal.until("not_found")
    terminal.ends(1)
    assert ">>>" not in terminal.all
    assert b"there is no setting" in run("default", "x", "-n", "--set", "colour=red", code=1).stderr


def the_terminal_is_left_as_it_was():
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    process = subprocess.Popen([SKERRY, "run", "default"], stdin=follower, stdout=follower, stderr=follower,
                               env=ENVIRONMENT, start_new_session=True)
    os.set_blocking(leader, False)
    seen = b""
    end = time.monotonic() + 30
    while b">>> " not in seen and time.monotonic() < end:
        select.select([leader], [], [], 1)
        try:
            seen += os.read(leader, 65536)
        except BlockingIOError:
            pass
    os.write(leader, b"/bye\n")
    assert process.wait(30) == 0
    assert termios.tcgetattr(follower) == before
    os.close(leader)
    os.close(follower)


TESTS = [
    answers_and_ends_with_ctrl_d,
    bytes_that_are_no_utf8_swallow_no_keys,
    bye_ends,
    ctrl_c_ends_the_answer_and_not_the_chat,
    an_interrupted_answer_says_so_to_programs,
    ctrl_c_at_the_prompt_gives_the_line_up,
    several_lines_are_one_prompt,
    the_arrow_recalls_lines_also_of_earlier_chats,
    commands_change_how_it_answers,
    a_chat_is_saved_and_taken_up_again,
    a_real_model_reads_the_whole_conversation,
    answers_alone_are_on_standard_output,
    an_answer_cannot_drive_the_terminal,
    prompts_come_by_pipe,
    what_is_wrong_is_said_before_the_first_prompt,
    the_terminal_is_left_as_it_was,
]


def main():
    os.makedirs(HOME, exist_ok=True)
    failed = 0
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            failed += 1
            print(f"not ok {number} - {name}\n# {str(error)[:2500]}", flush=True)
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
