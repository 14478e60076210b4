"""Counts what was judged, and prints it; the same input prints the same text."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from contract.exchange import Exchange
from contract.match import Match
from contract.validate import Finding

from .tables import Excuse

Key = tuple[str, str, str]


@dataclass
class Report:
    """What was judged so far."""

    operations: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    findings: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    excepted: Counter[str] = field(default_factory=Counter)

    def add(self, match: Match, exchange: Exchange, findings: list[Finding], exceptions: list[Excuse]) -> None:
        """Adds one exchange and what was found about it, but for what an exception excuses."""
        self.judged(f"{match.operation.plane} {match.operation.title}", match.choice, exchange, findings, exceptions)

    def judged(
        self, title: str, choice: str, exchange: Exchange, findings: list[Finding], exceptions: list[Excuse]
    ) -> None:
        """Adds one exchange of the operation `title`; `choice` says which version judged."""
        self.operations[f"{title} ({choice})"][exchange.status] += 1
        for finding in findings:
            excuse = next((each for each in exceptions if each.covers(title, finding)), None)
            if excuse:
                excuse.used = True
                self.excepted[excuse.reason] += 1
            else:
                self.find(title, finding.place, finding.message, f"{_shown(exchange)}  {finding.sample}".rstrip())

    def find(self, title: str, place: str, message: str, sample: str) -> None:
        """Adds a finding."""
        self.findings[title, place, message].append(sample)

    def lines(self) -> Iterator[str]:
        """Writes one line per operation, then the findings, grouped, each with one sample."""
        for operation, statuses in sorted(self.operations.items()):
            counts = " ".join(f"{status}×{count}" for status, count in sorted(statuses.items()))
            yield f"{sum(statuses.values()):5}  {operation}  {counts}"
        for reason, count in sorted(self.excepted.items()):
            yield f"excused {count} times: {reason}"
        for (title, place, message), samples in sorted(self.findings.items()):
            yield f"FINDING {title}"
            yield f"        {place} {message}  ({len(samples)} times)"
            yield f"        such as {samples[0]}"


def _shown(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.url} -> {exchange.status}:"
