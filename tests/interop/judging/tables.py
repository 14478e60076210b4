"""The tables of what is known not to fit: each entry has a reason, and one that nothing needs is an error."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.exchange import Exchange
from contract.validate import Finding

_SENTENCE = re.compile(r"[A-Z].*\s\S+.*\.", re.DOTALL)


@dataclass
class Uncovered:
    """An exchange that no contract names. The host and the path are patterns; the method may be several, with "|"."""

    method: str
    host: str
    path: str
    reason: str
    used: bool = False

    def covers(self, exchange: Exchange) -> bool:
        """Says whether the entry lists an exchange."""
        values = ((self.method, exchange.method), (self.host, exchange.host), (self.path, exchange.path))
        return all(re.fullmatch(pattern, value) for pattern, value in values)

    def __str__(self) -> str:
        return f"{self.method} {self.host} {self.path}"


@dataclass
class Excuse:
    """Something that a contract does not allow, and Azure does. All but the reason are patterns."""

    operation: str
    place: str
    message: str
    reason: str
    used: bool = False

    def covers(self, title: str, finding: Finding) -> bool:
        """Says whether the entry excuses a finding about the operation `title`."""
        values = ((self.operation, title), (self.place, finding.place), (self.message, finding.message))
        return all(re.fullmatch(pattern, value) for pattern, value in values)

    def __str__(self) -> str:
        return f"{self.operation} {self.place} {self.message}"


@dataclass
class Expected:
    """An official example that the embedded Azure refuses, or lacks what it needs."""

    example: str
    status: int
    code: str
    reason: str
    used: bool = False

    def covers(self, example: str, status: int, code: str) -> bool:
        """Says whether the entry lists this answer to this example."""
        return (self.example, self.status, self.code) == (example, status, code)

    def __str__(self) -> str:
        return f"{self.example} {self.status} {self.code}"


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Reads a table; raises ValueError where a reason is not a sentence."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for entries in table.values():
        for entry in entries:
            if not _SENTENCE.fullmatch(entry.get("reason", "")):
                raise ValueError(f"{path}: the reason of {entry} is not a sentence.")
    return table
