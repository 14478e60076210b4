"""Turns the parameters of a request, and the headers of an answer, into what a contract's schemas describe."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from .exchange import Exchange
from .formats import number
from .load import Operation

_SEPARATORS = {"csv": ",", "ssv": " ", "tsv": "\t", "pipes": "|", "multi": ","}
# The contract that judges may be of another version than the one that was asked for.
VERSIONS = frozenset({"api-version", "x-ms-version"})


def sent(operation: Operation, exchange: Exchange) -> dict[str, dict[str, str]]:
    """Gives the values that a request has, by place (path, query, header) and name; headers in lower case."""
    return {
        "path": _path(operation, exchange),
        "query": exchange.query,
        "header": dict(exchange.request_headers),
    }


def typed(text: str, schema: Mapping[str, Any]) -> Any:
    """Reads a value of a URL or header as the type that its schema names; leaves it a string where it is none."""
    kind = schema.get("type")
    if kind == "array":
        separator = _SEPARATORS[schema.get("collectionFormat", "csv")]
        return [typed(part, schema.get("items", {})) for part in text.split(separator)]
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return number(text, kind)


def _path(operation: Operation, exchange: Exchange) -> dict[str, str]:
    found = operation.pattern.fullmatch(exchange.path)
    names = [part.split("}")[0] for part in operation.template.split("{")[1:]]
    values = found.groups() if found else ()
    return {name: unquote(value) for name, value in zip(names, values, strict=True)}
