"""Types the labs of az/ into a shell with the real Azure CLI, and compares what comes of them.

    sealbook cloud exec --as app -- python az_labs.py [--az PATH] [LAB ...]

Each lab has a shell of its own, which has read az/prelude.sh. The environment must be that of `cloud exec --as app`: it
has the secrets of both the person and the application.

A lab is a plain shell script. What is written after a command, in lines that start with `#=`, is about its outcome.
Every command has at least one such line, and it ends there:

    #= ok                  the exit code is 0, as with every line but `refused`
    #= PATH = JSON         the output is JSON that has this value at PATH (.name, .[0].kid, .; # at its end counts)
    #= PATH ~ JSON         the same, in whatever case: Azure does not keep the case of ids
    #= PATH has JSON       the array at PATH has this element, or the text this text in it
    #= $NAME = JSON        the same about a variable of the shell; `~` and `has` too
    #= refused CODE [TEXT] the exit code is CODE, and stderr has TEXT in it

$NAMES inside the JSON are variables of the shell.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

FOLDER = Path(__file__).with_name("az")

#: The labs, and how many commands each has.
LABS = {
    "key_vault_premium": 47,
    "managed_hsm": 39,
    "storage": 40,
    "disks_aks": 53,
    "ai_foundry": 36,
    "os_disk_vault": 30,
    "os_disk_hsm": 33,
    "byok": 32,
    "hardening": 41,
}

#: How long a command may take, in seconds.
PATIENCE = 900.0

#: How many of its last lines a failed command's stderr is shown with.
LAST_LINES = 12

_STEP = re.compile(r"\.\[(\d+)\]|\.(\w+)")
_EXPECTATION = re.compile(r"(?P<what>\$\w+|\.|(\.\[\d+\]|\.\w+)*(\.#)?) (?P<verb>=|~|has) (?P<value>.+)")
_REFUSED = re.compile(r"refused (?P<code>\d+)(?: (?P<text>.+))?")
_NAME = re.compile(r"\$(\w+)")


class Unmet(Exception):
    """An outcome is not what the lab says."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(f"    - {wanted}\n    + {found}")


class Lost(Exception):
    """A shell ended, or took too long."""


@dataclass
class Command:
    """A command of a lab with what is said of its outcome."""

    line: int
    text: str
    outcome: list[str] = field(default_factory=list)

    def title(self) -> str:
        """The command's first line."""
        first, _, rest = self.text.partition("\n")
        return first.removesuffix("\\").strip() + (" …" if rest else "")


@dataclass
class Outcome:
    """What came of a command."""

    code: int
    stdout: str
    stderr: str


def meaningful(said: str) -> bool:
    """Whether what stands after `#=` says something of an outcome."""
    if said == "ok" or _REFUSED.fullmatch(said):
        return True
    if not (expectation := _EXPECTATION.fullmatch(said)):
        return False
    try:
        json.loads(_NAME.sub("", expectation["value"]))
    except ValueError:
        return False
    return True


def parse(name: str, text: str) -> list[Command]:
    """Reads a lab."""

    def wrong(number: int, why: str) -> NoReturn:
        raise SystemExit(f"{name}:{number}: {why}")

    commands: list[Command] = []
    lines: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#="):
            if lines:
                commands.append(Command(start, "\n".join(lines)))
                lines = []
            if not commands or (said := line.removeprefix("#=").strip()) == "":
                wrong(number, "an outcome of nothing")
            if not meaningful(said):
                wrong(number, f"`{said}` says nothing of an outcome")
            commands[-1].outcome.append(said)
        elif lines:
            lines.append(line)
        elif line.strip() and not line.startswith("#"):
            start, lines = number, [line]
    if lines:
        wrong(start, "a command without an outcome")
    return commands


def read(name: str) -> list[Command]:
    """Reads a lab's file."""
    file = f"{name}.sh"
    return parse(file, (FOLDER / file).read_text(encoding="utf-8"))


def at(value: Any, path: str) -> Any:
    """Value at a path such as `.a.b`, `.[0].c`, `.` or `.a.#` in a JSON document."""
    counted = path.endswith("#")
    path = path.removesuffix("#").removesuffix(".") if counted else path
    for index, name in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (LookupError, TypeError):
            raise Unmet(f"something at {path}", f"nothing there: {json.dumps(value)[:400]}") from None
    return len(value) if counted else value


def compare(said: str, found: Any, verb: str, wanted: Any) -> None:
    """Compares a value with what is said of it."""
    one, other = json.dumps(found, sort_keys=True), json.dumps(wanted, sort_keys=True)
    if verb == "has":
        met = isinstance(found, (list, str)) and wanted in found
    else:
        met = one == other or (verb == "~" and one.lower() == other.lower())
    if not met:
        raise Unmet(f"{said.split(' ', 1)[0]} {verb} {other}", f"{said.split(' ', 1)[0]} = {one[:2000]}")


class Shell:
    """A shell that one lab is typed into."""

    def __init__(self, az: str | None, folder: Path) -> None:
        self.folder = folder
        environment = dict(os.environ) | {
            "SUFFIX": secrets.token_hex(4),
            "WORK": str(folder),
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "false",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
            "AZURE_CORE_OUTPUT": "json",
        }
        self.process = subprocess.Popen(
            ["sh"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self.expect_ok(f". {shlex.quote(str(FOLDER / 'prelude.sh'))}")
        if az:
            self.expect_ok(f'az() {{ {shlex.quote(az)} "$@"; }}')

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def run(self, text: str) -> Outcome:
        """Types a command and waits for its end."""
        stdout, stderr = self.folder / ".stdout", self.folder / ".stderr"
        quoted = shlex.quote(str(stdout)), shlex.quote(str(stderr))
        typed = f"{{ {text}\n}} </dev/null >{quoted[0]} 2>{quoted[1]}\necho $?\n"
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(typed.encode())
        except BrokenPipeError:
            raise Lost("the shell has ended") from None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            raise Lost(f"no end after {PATIENCE:.0f} s")
        code = self.process.stdout.readline().strip()
        if not code:
            raise Lost("the shell has ended: is this no shell syntax?")
        return Outcome(int(code), *(f.read_text(encoding="utf-8", errors="replace") for f in (stdout, stderr)))

    def expect_ok(self, text: str) -> None:
        """Types a command that belongs to no lab and must work."""
        if (done := self.run(text)).code != 0:
            raise SystemExit(f"{text}: {done.stderr}")

    def variable(self, name: str) -> str:
        """Value of a variable of the shell."""
        return self.run(f'printf %s "${{{name}?}}"').stdout

    def filled(self, text: str) -> str:
        """A JSON text with its $NAMES replaced."""
        return _NAME.sub(lambda name: json.dumps(self.variable(name[1]))[1:-1], text)

    def judge(self, command: Command, done: Outcome) -> None:
        """Compares what came of a command with what the lab says."""
        for said in command.outcome:
            if refused := _REFUSED.fullmatch(said):
                text = self.filled(refused["text"] or "")
                if done.code != int(refused["code"]):
                    raise Unmet(said, f"exit code {done.code} {done.stdout[:2000].strip()}".strip())
                if text not in done.stderr:
                    raise Unmet(said, f"refused {done.code}, but its stderr does not have {text}")
            elif done.code != 0:
                raise Unmet(said, f"exit code {done.code}")
            elif expectation := _EXPECTATION.fullmatch(said):
                what, wanted = expectation["what"], json.loads(self.filled(expectation["value"]))
                found = self.variable(what[1:]) if what.startswith("$") else at(output(done.stdout), what)
                compare(said, found, expectation["verb"], wanted)


def output(text: str) -> Any:
    """JSON that a command printed."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        raise Unmet("JSON", text[:2000].strip()) from None


def last_lines(text: str) -> str:
    """The end of what a command said, indented."""
    return "".join(f"    | {line}\n" for line in text.strip().splitlines()[-LAST_LINES:])


def run(name: str, az: str | None) -> bool:
    """Runs a lab and says what came of it; false if anything differs."""
    file = f"{name}.sh"
    commands = read(name)
    passed, started = 0, time.monotonic()
    print(f"== {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sealbook-az-") as folder, Shell(az, Path(folder)) as shell:
        for command in commands:
            began = time.monotonic()
            try:
                done = shell.run(command.text)
            except Lost as why:
                print(f"FAILED {command.title()} ({file}:{command.line}): {why}; the rest is left out", flush=True)
                break
            seconds = time.monotonic() - began
            try:
                shell.judge(command, done)
            except Unmet as why:
                print(f"FAILED {command.title()} ({file}:{command.line}, {seconds:.1f} s)\n{why}", flush=True)
                print(f"    exit code {done.code}\n{last_lines(done.stderr)}", end="", flush=True)
            else:
                passed += 1
                print(f"ok {command.title()} ({seconds:.1f} s)", flush=True)
    seconds = time.monotonic() - started
    print(f"{name}: {len(commands)} commands, {passed} passed, {len(commands) - passed} failed, {seconds:.0f} s")
    if len(commands) != LABS[name]:
        print(f"FAILED {file} has {len(commands)} commands, the table says {LABS[name]}")
        return False
    return passed == len(commands)


def main() -> int:
    """Runs labs; 1 if any outcome differs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--az", help="the Azure CLI to run (default: the one on the path)")
    arguments.add_argument("--check", action="store_true", help="read the labs and count their commands, run nothing")
    arguments.add_argument("labs", nargs="*", metavar="LAB", help=f"one of {', '.join(LABS)} (default: all)")
    given = arguments.parse_args()
    if unknown := set(given.labs) - set(LABS):
        arguments.error(f"no such lab: {', '.join(sorted(unknown))}")
    present = {file.stem for file in FOLDER.glob("*.sh")} - {"prelude"}
    if strays := present ^ set(LABS):
        arguments.error(f"either not in the table or not in {FOLDER.name}/: {', '.join(sorted(strays))}")
    labs = given.labs or list(LABS)
    if given.check:
        counts = {name: len(read(name)) for name in labs}
        differ = [name for name in labs if counts[name] != LABS[name]]
        wrong = [f"{name} has {counts[name]} commands, the table says {LABS[name]}" for name in differ]
        print("\n".join(wrong) or f"{sum(counts.values())} commands in {len(labs)} labs")
        return 1 if wrong else 0
    failed = [name for name in labs if not run(name, given.az)]
    print(f"{len(labs)} labs, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
