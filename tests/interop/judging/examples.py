"""Replays the official examples' requests against the embedded Azure, and judges every answer."""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from contract.exchange import Exchange
from contract.load import Library, Operation
from contract.match import Match
from contract.validate import Validator

from . import tables
from .needs import needs
from .prerequisites import Values, localise
from .report import Report
from .tables import Excuse, Expected
from .world import MANAGEMENT, Unmet, World, state_of

# The contracts whose operations the embedded Azure claims.
# IMDS answers where a machine's identity is lent, which needs `--identity`; attestation has no data plane here.
_SCOPE = re.compile(r"^(?!.*/(imds|attestation)/data-plane/)azure-rest-api-specs/.*/stable/")
_GAP = "x-sealbook-gap"
# A role comes into force late; until then, the services that need it refuse with these.
_NOT_YET = frozenset({"KeyVaultAuthenticationFailure", "KeyVaultAccessForbidden"})
# What is made for these counts against quotas, and goes when it was judged.
_TRANSIENT = frozenset(
    {"AgentPools_CreateOrUpdate", "ManagedClusters_CreateOrUpdate", "VirtualMachines_CreateOrUpdate"}
)


@dataclass(frozen=True)
class Example:
    """One official example of one operation."""

    operation: Operation
    name: str
    parameters: dict[str, Any] = field(hash=False)

    @property
    def title(self) -> str:
        """Names the example by its operation and its file; those of a pool of HSMs share both with a vault's."""
        plane = "managedhsm " if self.operation.plane == "managedhsm" else ""
        return f"{plane}{self.operation.definition['operationId']}/{self.name}"


def replay(specs: Path, table: Path) -> bool:
    """Prints what became of every example; says whether all is well."""
    library = Library(specs)
    operations = [each for each in library.operations if _SCOPE.search(each.document)]
    examples = [example for operation in operations for example in _examples(library, operation)]
    entries = tables.read(table)
    expected = {kind: [Expected(**entry) for entry in entries.get(kind, [])] for kind in ("refused", "gap")}
    exceptions = [Excuse(**entry) for entry in entries.get("exception", [])]
    outcomes, report = _replay(examples, Validator(library), expected, exceptions)
    for entry in [*expected["refused"], *expected["gap"], *exceptions]:
        if not entry.used:
            report.find("the table", str(entry), "is needed by no example", entry.reason)
    print("\n".join(report.lines()))
    print("\n".join(_summary(operations, outcomes)))
    return not report.findings


def _summary(operations: list[Operation], outcomes: dict[Operation, Counter[str]]) -> Iterator[str]:
    """Counts operations and examples. An operation whose every example is a gap is not claimed."""
    gaps = {operation for operation, counts in outcomes.items() if set(counts) == {"gap"}}
    without = sorted(operation.definition["operationId"] for operation in operations if operation not in outcomes)
    replayed, claimed = len(outcomes) - len(gaps), len(operations) - len(gaps)
    yield f"{replayed}/{claimed} claimed operations with at least one example replayed"
    yield f"{len(without)} operations without an official example: {', '.join(without)}"
    totals = sum(outcomes.values(), Counter())
    yield f"accepted {totals['accepted']}, refused {totals['refused']}, gap {totals['gap']}"


def _replay(
    examples: list[Example], validator: Validator, expected: dict[str, list[Expected]], exceptions: list[Excuse]
) -> tuple[dict[Operation, Counter[str]], Report]:
    world, report = World(), Report()
    outcomes: dict[Operation, Counter[str]] = defaultdict(Counter)
    for example in examples:
        operation = example.operation
        try:
            exchange, end = _send(world, example)
        except Unmet as unmet:
            report.find("example", example.title, "was not sent, because what it needs could not be made", str(unmet))
            continue
        outcome = _outcome(exchange, end)
        outcomes[operation][outcome] += 1
        gap = exchange.answer_headers.get(_GAP, "")
        code = end.error_code() if outcome == "refused" else exchange.error_code()
        print(f"{outcome:8} {exchange.status} {example.title} {code} {gap}".rstrip(), file=sys.stderr)
        report.add(Match(operation, operation.version), exchange, validator.judge(operation, exchange), exceptions)
        if outcome != "accepted":
            _expect(example, outcome, end if exchange.status < 400 else exchange, expected[outcome], report)
    return outcomes, report


def _expect(example: Example, outcome: str, exchange: Exchange, expected: list[Expected], report: Report) -> None:
    """Holds a refusal or a gap against the table."""
    code = exchange.error_code()
    entry = next((each for each in expected if each.covers(example.title, exchange.status, code)), None)
    if entry:
        entry.used = True
    else:
        message = f"is a {outcome} with {exchange.status} {code} that the table does not list"
        report.find("example", example.title, message, exchange.answer_body)


def _examples(library: Library, operation: Operation) -> Iterator[Example]:
    for reference in operation.definition.get("x-ms-examples", {}).values():
        document, _ = library.locate(reference["$ref"], operation.document)
        content = json.loads((library.root / document).read_text(encoding="utf-8"))
        yield Example(operation, Path(document).stem, content["parameters"])


def _send(world: World, example: Example) -> tuple[Exchange, Exchange]:
    """Makes what an example needs, sends it, and waits for what it starts; gives the first exchange and the last."""
    operation = example.operation
    # One example forgets its version.
    values = localise(world, {"api-version": operation.version, **example.parameters})
    for prerequisite in needs(operation):
        prerequisite(world, values)
    body, headers, query = _request(operation, values)
    base = MANAGEMENT if operation.plane == "arm" else str(values["vaultBaseUrl"]).rstrip("/")
    url = base + _path(operation, values) + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    exchange = world.until(lambda: world.send(operation.method, url, body, headers), _NOT_YET)
    end = world.settle(exchange)
    if operation.definition["operationId"] in _TRANSIENT and exchange.status < 400:
        world.settle(world.send("DELETE", url))
    return exchange, end


def _request(operation: Operation, values: Values) -> tuple[Any, dict[str, str], dict[str, str]]:
    """Puts an example's values where its operation declares them: body, headers, query."""
    body, headers, query = None, {}, dict(operation.selectors)
    for parameter in operation.parameters:
        name, place = parameter.value["name"], parameter.value["in"]
        if name not in values:
            continue
        if place == "body":
            body = values[name]
        elif place == "header":
            headers[name] = str(values[name])
        elif place == "query":
            query[name] = str(values[name])
    return body, headers, query


def _path(operation: Operation, values: Values) -> str:
    return re.sub(r"\{([^}]+)\}", lambda found: quote(str(values[found[1]]), safe="/"), operation.template)


def _outcome(exchange: Exchange, end: Exchange) -> str:
    if _GAP in exchange.answer_headers:
        return "gap"
    failed = exchange.status >= 400 or end.status >= 400 or state_of(end) == "Failed"
    return "refused" if failed else "accepted"
