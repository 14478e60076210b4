"""Runs the commands of az_commands.txt with the real Azure CLI, and compares what comes of them.

    sealbook cloud exec --as app -- python az.py [--az PATH]

The environment must be that of `cloud exec --as app`: it has the secrets of both the person and the application.
"""

import argparse
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

COMMANDS = Path(__file__).with_name("az_commands.txt")

#: How long a command is tried again for want of a role that has been given, in seconds.
PATIENCE = 20.0

_STEP = re.compile(r"\.\[(\d+)\]|\.(\w+)")
_EXPECTATION = re.compile(r"(?P<path>\.\S*) (?P<verb>=|has) (?P<value>.+)")
_SAVE = re.compile(r"(?P<name>[A-Z_]+) := (?P<path>\.\S*)")
_FILES = re.compile(r"same (?P<one>\S+) (?P<other>\S+)")


class Unmet(Exception):
    """An outcome is not what the list of commands says."""


@dataclass
class Command:
    """One command of the list with what is said of its outcome."""

    line: int
    text: str
    outcome: list[str] = field(default_factory=list)

    def after(self, word: str) -> list[str]:
        """Texts of the outcome lines that start with `word`."""
        return [line.removeprefix(word).strip() for line in self.outcome if line.startswith(word + " ")]


def parse(text: str) -> list[Command]:
    """Reads a list of commands."""
    commands: list[Command] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            commands.append(Command(number, line))
        elif commands:
            commands[-1].outcome.append(line.strip())
        else:
            raise SystemExit(f"{COMMANDS.name}:{number}: an outcome without a command")
    return commands


def write_custodian(path: str) -> None:
    """Writes the private key (`.key`) and the certificate (`.cer`) of one who holds a share of a security domain."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, Path(path).name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    certificate = made.not_valid_after(now + timedelta(days=30)).sign(key, hashes.SHA256())
    Path(f"{path}.cer").write_bytes(certificate.public_bytes(Encoding.PEM))
    Path(f"{path}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def at(value: Any, path: str) -> Any:
    """Value at a path such as `.a.b`, `.[0].c` or `.` in a JSON document."""
    if path == ".":
        return value
    if _STEP.sub("", path):
        raise Unmet(f"{path} is no path")
    for index, name in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (LookupError, TypeError):
            raise Unmet(f"the output has nothing at {path}") from None
    return value


class Session:
    """The names that commands may use, and the CLI that runs them."""

    def __init__(self, az: str, folder: Path) -> None:
        suffix = secrets.token_hex(4)
        self.az = az
        self.names = dict(os.environ) | {
            "GROUP": f"az-{suffix}",
            "VAULT": f"az-vault-{suffix}",
            "ACCOUNT": f"azdata{suffix}",
            "REGION": "italynorth",
            "HSM": f"az-hsm-{suffix}",
            "HSM_B": f"az-hsm-b-{suffix}",
            "CUSTODIAN_A": str(folder / "a"),
            "CUSTODIAN_B": str(folder / "b"),
            "CUSTODIAN_C": str(folder / "c"),
            "DOMAIN": str(folder / "domain.json"),
            "EXCHANGE": str(folder / "exchange.cer"),
            "BACKUP": str(folder / "backup"),
            "NOTE": str(folder / "note.txt"),
            "COPY": str(folder / "copy.txt"),
        }
        self.environment = dict(os.environ) | {
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
            "AZURE_CORE_OUTPUT": "json",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "false",
        }
        for custodian in "ABC":
            write_custodian(self.names[f"CUSTODIAN_{custodian}"])
        Path(self.names["NOTE"]).write_text("What only its owner may read.\n" * 1000, encoding="utf-8")

    def filled(self, text: str) -> str:
        """A text with its $NAMES replaced."""
        try:
            return Template(text).substitute(self.names)
        except KeyError as name:
            raise Unmet(f"${name.args[0]} is not known (was an earlier command refused?)") from None

    def run(self, command: Command) -> None:
        """Runs a command, as often as its list allows, and compares its outcome."""
        _, *arguments = (self.filled(word) for word in shlex.split(command.text))
        deadline = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                [self.az, *arguments], check=False, env=self.environment, capture_output=True, text=True
            )
            early = done.returncode != 0 and any(text in done.stderr for text in command.after("again"))
            if not early or time.monotonic() > deadline:
                break
        if refusals := command.after("fails"):
            self.compare_refusal(done, refusals)
            return
        if done.returncode != 0:
            raise Unmet(f"exit code {done.returncode}: {done.stderr.strip()}")
        output = json.loads(done.stdout) if done.stdout.strip() else None
        for line in command.outcome:
            if not line.startswith("again "):
                self.compare(line, output)

    @staticmethod
    def compare_refusal(done: subprocess.CompletedProcess[str], refusals: list[str]) -> None:
        """Compares a refusal with the texts that it must have."""
        if done.returncode == 0:
            raise Unmet(f"it was to be refused with {refusals}, and was not: {done.stdout.strip()}")
        for text in refusals:
            if text not in done.stderr:
                raise Unmet(f"it was refused, but not with {text}: {done.stderr.strip()}")

    def compare(self, line: str, output: Any) -> None:
        """Compares one outcome line with a command's output, or saves what it names."""
        if save := _SAVE.fullmatch(line):
            self.names[save["name"]] = str(at(output, save["path"]))
        elif files := _FILES.fullmatch(line):
            one, other = (Path(self.filled(files[name])).read_bytes() for name in ("one", "other"))
            if one != other:
                raise Unmet(f"{line}: the contents differ")
        elif expectation := _EXPECTATION.fullmatch(line):
            found, wanted = at(output, expectation["path"]), json.loads(self.filled(expectation["value"]))
            met = wanted in found if expectation["verb"] == "has" else found == wanted
            if not met:
                raise Unmet(f"{line}: it is {json.dumps(found)}")
        else:
            raise Unmet(f"`{line}` says nothing of an outcome")


def main() -> int:
    """Runs all commands; 1 if any outcome differs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--az", default="az", help="the Azure CLI to run (default: the one on the path)")
    az = arguments.parse_args().az
    commands = parse(COMMANDS.read_text(encoding="utf-8"))
    failed = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sealbook-az-") as folder:
        session = Session(az, Path(folder))
        for command in commands:
            began = time.monotonic()
            try:
                session.run(command)
                print(f"ok {command.text} ({time.monotonic() - began:.1f} s)", flush=True)
            except Unmet as why:
                failed += 1
                print(f"FAILED {command.text} ({COMMANDS.name}:{command.line}): {why}", flush=True)
    print(f"{len(commands)} commands, {failed} failed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
