"""Judges the exchanges that a run recorded."""

from pathlib import Path

from contract.exchange import Exchange, read
from contract.load import Library
from contract.match import Matcher
from contract.validate import Validator

from . import tables
from .report import Report
from .tables import Excuse, Uncovered


def judge(specs: Path, recorded: Path, table: Path) -> bool:
    """Prints what there is to say about every exchange of a file; says whether all is well."""
    library = Library(specs)
    matcher, validator, report = Matcher(library), Validator(library), Report()
    entries = tables.read(table)
    uncovered = [Uncovered(**entry) for entry in entries.get("exchange", [])]
    exceptions = [Excuse(**entry) for entry in entries.get("exception", [])]
    covered = total = 0
    for exchange in read(recorded):
        total += 1
        if match := matcher.match(exchange):
            covered += 1
            report.add(match, exchange, validator.judge(match.operation, exchange), exceptions)
        else:
            list_uncovered(exchange, uncovered, report)
    for entry in [*uncovered, *exceptions]:
        if not entry.used:
            report.find("the table", str(entry), "is needed by no exchange", entry.reason)
    print("\n".join(report.lines()))
    print(f"{covered}/{total} exchanges have a contract")
    return not report.findings


def list_uncovered(exchange: Exchange, entries: list[Uncovered], report: Report) -> None:
    """Adds an exchange that no contract names: a finding, unless an entry lists it."""
    entry = next((each for each in entries if each.covers(exchange)), None)
    if entry:
        entry.used = True
        report.operations[f"no contract: {entry} ({entry.reason})"][exchange.status] += 1
    else:
        message = "has no contract and is not in the table"
        report.find(f"{exchange.method} {exchange.host}", exchange.path, message, exchange.url)
