"""Finds the operation that an exchange is about."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .exchange import Exchange
from .load import Library, Operation, fits_anything

_HOSTS = (
    ("management.azure.com", "arm"),
    (".vault.azure.net", "keyvault"),
    (".managedhsm.azure.net", "managedhsm"),
    (".blob.core.windows.net", "blob"),
    (".attest.azure.net", "attestation"),
    ("169.254.169.254", "imds"),
)
# Storage tells operations on one path apart by these, so an operation without them is another one.
_BLOB_SELECTORS = ("comp", "restype")

Order = tuple[int, tuple[int, ...], str]


@dataclass(frozen=True)
class Match:
    """The operation of an exchange, and how its version stands to the one that was asked for."""

    operation: Operation
    asked: str | None

    @property
    def choice(self) -> str:
        """Says which version judges: the exact one, an earlier one or a later one."""
        judged_by = self.operation.version
        if self.asked is None or self.asked == judged_by:
            return f"{judged_by}, exact"
        word = "earlier" if order(judged_by) < order(self.asked) else "later"
        return f"{judged_by}, {word} than {self.asked}"


class Matcher:
    """Finds operations; an index of a library by plane and method."""

    def __init__(self, library: Library) -> None:
        """Indexes the operations of `library`, but for those that fit anything."""
        self._index: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in library.operations:
            if not fits_anything(operation):
                self._index[operation.plane, operation.method].append(operation)

    def match(self, exchange: Exchange) -> Match | None:
        """Finds the operation of an exchange, or None where no contract names it."""
        found = plane(exchange.host)
        candidates = self._index.get((found, exchange.method), []) if found else []
        fitting = [candidate for candidate in candidates if _fits(candidate, exchange)]
        if not fitting:
            return None
        asked = exchange.api_version()
        named = [each for each in fitting if _names_provider(each)] or fitting
        version = choose(asked, {each.version for each in named})
        # An official contract comes before a derived one of the same version: its path sorts first.
        candidates = [each for each in named if each.version == version]
        return Match(min(candidates, key=lambda each: (each.looseness, each.document)), asked)


def plane(host: str) -> str | None:
    """Names the plane that a host belongs to."""
    return next((name for suffix, name in _HOSTS if host.lower().endswith(suffix)), None)


def choose(asked: str | None, versions: Iterable[str]) -> str:
    """Chooses the version that was asked for, else the newest earlier one, else the oldest later one."""
    known = sorted(versions, key=order)
    if asked is None:
        return known[-1]
    earlier = [version for version in known if order(version) <= order(asked)]
    return earlier[-1] if earlier else known[0]


def order(version: str) -> Order:
    """Makes versions comparable: numbered ones (7.5) come before dated ones, a preview before its release."""
    numbers, _, preview = re.sub(r"^v", "", version).partition("-preview")
    dated = re.match(r"\d{4}-\d\d-\d\d", version) is not None
    parts = tuple(int(part) for part in re.findall(r"\d+", numbers))
    return int(dated), parts, "a" if "-preview" in version else "b"


def _fits(operation: Operation, exchange: Exchange) -> bool:
    if not operation.pattern.fullmatch(exchange.path):
        return False
    if operation.plane != "blob":
        return True
    query = exchange.query
    return all(query.get(name) == operation.selectors.get(name) for name in _BLOB_SELECTORS) and _type_fits(
        operation, exchange
    )


def _type_fits(operation: Operation, exchange: Exchange) -> bool:
    """Tells apart the uploads that share a path and a query: a header names the blob's type."""
    for parameter in operation.parameters:
        if parameter.value["name"] == "x-ms-blob-type":
            return exchange.request_headers.get("x-ms-blob-type") in parameter.value["enum"]
    return "x-ms-blob-type" not in exchange.request_headers


def _names_provider(operation: Operation) -> bool:
    """Says whether the last provider of the path is a literal, rather than a parameter that takes any."""
    providers = re.findall(r"/providers/([^/]+)", operation.template)
    return bool(providers) and not providers[-1].startswith("{")
