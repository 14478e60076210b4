"""Judges an exchange against the operation that it is about."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from jsonschema import Draft202012Validator, ValidationError

from .exchange import Exchange
from .formats import CHECKER
from .load import Library, Located, Operation
from .parameters import VERSIONS, sent, typed
from .schema import Schemas, Way, simple
from .xml import Xml

# An operation without a `default` answer leaves its errors to this definition of Azure Resource Manager.
_ARM_ERROR = (
    "azure-rest-api-specs/specification/common-types/resource-management/v2/types.json",
    "/definitions/ErrorResponse",
)
_POLLING = ("location", "azure-asyncoperation")
_UNAUTHENTICATED = 401
_ACCEPTED = 202
_SAMPLE = 160
# A part of a path that names one thing of many, such as a resource's id among a map's keys.
_NAME = re.compile(r"/|[0-9a-f]{8}-[0-9a-f]{4}-|^[0-9a-f]{32}$", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One thing that an exchange does and its contract does not allow."""

    place: str
    message: str
    sample: str


class Validator:
    """Judges exchanges against the operations of one library."""

    def __init__(self, library: Library) -> None:
        """Starts with no schema made."""
        self._library = library
        self._schemas = Schemas(library)
        self._xml = Xml(library)

    def judge(self, operation: Operation, exchange: Exchange) -> list[Finding]:
        """Judges both the request and the answer."""
        return [*self._request(operation, exchange), *self._answer(operation, exchange)]

    def _request(self, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
        values = sent(operation, exchange)
        for parameter in operation.parameters:
            if parameter.value["in"] in values:
                yield from _parameter(parameter.value, values[parameter.value["in"]])
        yield from _undeclared(operation, exchange)
        yield from self._request_body(operation, exchange)

    def _request_body(self, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
        body = next((each for each in operation.parameters if each.value["in"] == "body"), None)
        if body is None:
            if exchange.request_body:
                yield Finding("request", "has a body, and the contract declares none", _short(exchange.request_body))
        elif exchange.request_body:
            schema = Located(body.value["schema"], body.document)
            yield from self._body("request", exchange.request_body, schema, operation, Way.REQUEST)
        elif body.value.get("required") and exchange.status != _UNAUTHENTICATED and not self._raw(body):
            # A client of Key Vault asks for its challenge with an empty request.
            yield Finding("request", "has no body, and the contract requires one", "")

    def _raw(self, body: Located) -> bool:
        """Says whether a body is bytes, of which there may be none."""
        schema = self._library.follow(body.value["schema"], body.document).value
        return schema.get("format") in ("file", "binary") or schema.get("type") == "file"

    def _answer(self, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
        answer = self._declared_answer(operation, exchange.status)
        if answer is None:
            declared = ", ".join(operation.definition["responses"])
            yield Finding("answer", f"has the status {exchange.status}, and the contract declares {declared}", "")
            return
        yield from _headers(answer.value, exchange)
        yield from _polling(operation, exchange)
        if exchange.method != "HEAD":
            yield from self._answer_body(operation, exchange, answer)

    def _declared_answer(self, operation: Operation, status: int) -> Located | None:
        answers = operation.definition["responses"]
        declared = answers.get(str(status))
        if declared is None and status >= 400:
            declared = answers.get("default")
            if declared is None and operation.plane == "arm":
                document, pointer = _ARM_ERROR
                return Located({"schema": self._library.at(document, pointer)}, document)
        return None if declared is None else self._library.follow(declared, operation.document)

    def _answer_body(self, operation: Operation, exchange: Exchange, answer: Located) -> Iterator[Finding]:
        schema, body = answer.value.get("schema"), exchange.answer_body
        if schema is None:
            if body:
                message = f"has a body with the status {exchange.status}, and the contract declares none"
                yield Finding("answer", message, _short(body))
        elif body:
            yield from self._body("answer", body, Located(schema, answer.document), operation, Way.ANSWER)
        elif not self._raw(Located({"schema": schema}, answer.document)):
            yield Finding("answer", f"has no body with the status {exchange.status}, and the contract declares one", "")

    def _body(self, place: str, text: str, schema: Located, operation: Operation, way: Way) -> Iterator[Finding]:
        if self._raw(Located({"schema": schema.value}, schema.document)):
            return
        try:
            value = self._read(text, schema, operation)
        except (json.JSONDecodeError, ElementTree.ParseError) as error:
            yield Finding(place, f"has a body that cannot be read: {error}", _short(text))
            return
        validator = self._schemas.validator(schema.value, schema.document, way)
        for error in validator.iter_errors(value):
            yield from _findings(place, error)

    def _read(self, text: str, schema: Located, operation: Operation) -> Any:
        contract = self._library.documents[operation.document]
        # Blob's contract is XML throughout; where an operation consumes bytes, its body has no schema to read by.
        if "application/xml" in contract.get("produces", []):
            return self._xml.read(text, schema.value, schema.document)
        return json.loads(text)


def _parameter(parameter: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[Finding]:
    name, place = parameter["name"], parameter["in"]
    text = values.get(name.lower() if place == "header" else name)
    if text is None:
        if parameter.get("required"):
            yield Finding("request", f"lacks the required {place} parameter {name}", "")
        return
    empty_is_newest = place == "path" and not text
    if name not in VERSIONS and not empty_is_newest:
        yield from _value(f"request.{place}.{name}", text, parameter)


def _undeclared(operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    declared = {each.value["name"] for each in operation.parameters if each.value["in"] == "query"}
    for name in sorted(exchange.query.keys() - declared - operation.selectors.keys()):
        yield Finding("request", f"has the undeclared query parameter {name}", exchange.query[name])


def _headers(answer: Mapping[str, Any], exchange: Exchange) -> Iterator[Finding]:
    for name, schema in answer.get("headers", {}).items():
        if (text := exchange.answer_headers.get(name.lower())) is not None:
            yield from _value(f"answer.header.{name}", text, schema)


def _polling(operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    """Finds a long-running operation's answer that leaves its client without an address to ask."""
    sent_on = any(name in exchange.answer_headers for name in _POLLING)
    if operation.long_running and exchange.status == _ACCEPTED and not sent_on:
        yield Finding("answer", "has the status 202 of a long-running operation, with no address to poll", "")


def _value(place: str, text: str, schema: Mapping[str, Any]) -> Iterator[Finding]:
    validator = Draft202012Validator(simple(schema), format_checker=CHECKER)
    for error in validator.iter_errors(typed(text, schema)):
        yield from _findings(place, error)


def _findings(place: str, error: ValidationError) -> Iterator[Finding]:
    path = place + "".join(_step(part) for part in error.absolute_path)
    if error.validator == "unevaluatedProperties":
        for name in sorted(error.instance.keys() - error.schema["properties"].keys()):
            yield Finding(f"{path}.{name}", "is not declared", _short(error.instance[name]))
    elif error.validator == "required":
        missing = re.findall(r"^'(.*)' is a required property$", error.message)
        yield Finding(f"{path}.{''.join(missing)}", "is required and missing", _short(error.instance))
    else:
        yield Finding(path, f"breaks {error.validator}: {_short(error.validator_value)}", _short(error.instance))


def _step(part: str | int) -> str:
    """Writes one step of a path; what tells one of many apart is left out, so that findings group."""
    return "[*]" if isinstance(part, int) or _NAME.search(part) else f".{part}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = text.replace("\r", " ").replace("\n", " ")
    return text if len(text) <= _SAMPLE else f"{text[:_SAMPLE]}…"
