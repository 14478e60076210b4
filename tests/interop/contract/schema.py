"""Turns the schemas of a contract into JSON Schema 2020-12."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from jsonschema import Draft202012Validator

from .formats import CHECKER
from .load import Library, Located

Schema = dict[str, Any]
# A definition: its document and its pointer.
Name = tuple[str, str]

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_COPIED = (
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "pattern",
    "uniqueItems",
)
_DERIVED_FORMATS = {"base64": "byte", "base64url": "base64url", "rfc3339": "date-time"}


class Way(Enum):
    """The way that a body goes: it decides what read-only and write-only properties mean."""

    REQUEST = "request"
    ANSWER = "answer"


class Schemas:
    """Makes validators of schemas; each is made once."""

    def __init__(self, library: Library) -> None:
        """Starts with nothing made."""
        self._library = library
        self._heirs = _heirs(library)
        self._made: dict[tuple[int, Way], Draft202012Validator] = {}

    def validator(self, schema: Mapping[str, Any], document: str, way: Way) -> Draft202012Validator:
        """Gives the validator of a schema that stands in `document`."""
        key = (id(schema), way)
        if key not in self._made:
            built = _Builder(self._library, self._heirs, way).build(schema, document)
            Draft202012Validator.check_schema(built)
            self._made[key] = Draft202012Validator(built, format_checker=CHECKER)
        return self._made[key]


class _Builder:
    """Builds one JSON Schema with everything that it reaches.

    A definition has two forms. The open form says what the contract says. The closed form, for the place of use, adds
    that undeclared properties are errors. Parents in an `allOf` are used in their open form: each declares a part.
    """

    def __init__(self, library: Library, heirs: Mapping[Name, list[str]], way: Way) -> None:
        self._library = library
        self._heirs = heirs
        self._way = way
        self._names: dict[tuple[str, str, bool], str] = {}
        self._definitions: dict[str, Schema] = {}

    def build(self, schema: Mapping[str, Any], document: str) -> Schema:
        return {**self._use(schema, document), "$defs": self._definitions}

    def _use(self, schema: Mapping[str, Any], document: str) -> Schema:
        """Makes the schema of a place of use."""
        target = self._library.follow(schema, document)
        if "$ref" in schema:
            made = self._reference(*self._library.locate(schema["$ref"], document), closed=True)
        else:
            made = self._closed(schema, document, heirs=[])
        if schema.get("x-nullable") or target.value.get("x-nullable"):
            # A condition, unlike an alternative, keeps the errors below it.
            return {"if": {"not": {"type": "null"}}, "then": made}
        return made

    def _reference(self, document: str, pointer: str, *, closed: bool) -> Schema:
        key = (document, pointer, closed)
        if key not in self._names:
            name = self._names[key] = f"{len(self._names)}"
            value = self._library.at(document, pointer)
            heirs = self._heirs.get((document, pointer), [])
            made = self._closed(value, document, heirs) if closed else self._open(value, document)
            self._definitions[name] = made
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _closed(self, schema: Mapping[str, Any], document: str, heirs: list[str]) -> Schema:
        if "$ref" in schema:
            return self._use(schema, document)
        made = self._open(schema, document)
        names = self._declared(schema, document)
        if names is not None:
            # Naming the properties here keeps one wrong value in a parent from making all its properties undeclared.
            made = {"allOf": [made], "properties": dict.fromkeys(sorted(names), True), "unevaluatedProperties": False}
        for heir in heirs:
            made = self._or_heir(schema["discriminator"], heir, made)
        return made

    def _or_heir(self, discriminator: str, heir: str, otherwise: Schema) -> Schema:
        document, pointer = heir.split("#", 1)
        value = self._library.at(document, pointer)
        named = value.get("x-ms-discriminator-value", pointer.rsplit("/", 1)[1])
        is_heir = {"properties": {discriminator: {"const": named}}, "required": [discriminator]}
        return {"if": is_heir, "then": self._reference(document, pointer, closed=True), "else": otherwise}

    def _open(self, schema: Mapping[str, Any], document: str) -> Schema:
        if "$ref" in schema:
            return self._reference(*self._library.locate(schema["$ref"], document), closed=False)
        made = _scalar(schema)
        if "items" in schema:
            made["items"] = self._use(schema["items"], document)
        if "properties" in schema:
            made["properties"] = {name: self._use(each, document) for name, each in schema["properties"].items()}
        if required := self._required(schema, document):
            made["required"] = required
        if isinstance(more := schema.get("additionalProperties"), Mapping) and more:
            made["additionalProperties"] = self._use(more, document)
        if "allOf" in schema:
            made["allOf"] = [self._open(parent, document) for parent in schema["allOf"]]
        return made

    def _required(self, schema: Mapping[str, Any], document: str) -> list[str]:
        properties = schema.get("properties", {})
        return [name for name in schema.get("required", []) if self._travels(properties.get(name, {}), document)]

    def _travels(self, schema: Mapping[str, Any], document: str) -> bool:
        """Says whether a property goes this way: read-only ones may miss in requests, write-only ones in answers."""
        target = self._library.follow(schema, document).value
        mutability = schema.get("x-ms-mutability", target.get("x-ms-mutability"))
        if self._way is Way.ANSWER:
            return mutability is None or "read" in mutability
        read_only = schema.get("readOnly") or target.get("readOnly")
        return not read_only and mutability != ["read"]

    def _declared(self, schema: Mapping[str, Any], document: str) -> set[str] | None:
        """Names all properties that an object declares, or None where it takes any (or is no object)."""
        names: set[str] = set()
        refuses = False
        for part in self._parts(Located(schema, document)):
            more = part.get("additionalProperties")
            if more is True or isinstance(more, Mapping):
                return None
            refuses = refuses or more is False
            names |= part.get("properties", {}).keys()
        return names if names or refuses else None

    def _parts(self, start: Located) -> Iterator[Mapping[str, Any]]:
        found = self._library.follow(start.value, start.document)
        yield found.value
        for parent in found.value.get("allOf", []):
            yield from self._parts(Located(parent, found.document))


def simple(schema: Mapping[str, Any]) -> Schema:
    """Makes the JSON Schema of a parameter or a header, which are not objects."""
    made = _scalar(schema)
    if "items" in schema:
        made["items"] = simple(schema["items"])
    return made


def _scalar(schema: Mapping[str, Any]) -> Schema:
    """Carries over what a schema says of one value, without what lies below it."""
    made: Schema = {name: schema[name] for name in _COPIED if name in schema}
    kind = schema.get("type", "object" if "properties" in schema else None)
    if kind == "file" or schema.get("format") == "file":
        return made
    if kind is not None:
        made["type"] = kind
    if "enum" in schema and not schema.get("x-ms-enum", {}).get("modelAsString"):
        made["enum"] = schema["enum"]
    # A derived contract's `x-format` is the SDK's own word for it: there, `byte` may mean base64url.
    found = _DERIVED_FORMATS.get(schema.get("x-format", "")) or schema.get("format")
    if found:
        made["format"] = found
    return made | _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> Schema:
    """Makes bounds of numbers; a contract's exclusive bounds are flags beside the bounds."""
    least, most = _RANGES.get(schema.get("format", ""), (None, None))
    made: Schema = {} if schema.get("type") != "integer" or least is None else {"minimum": least, "maximum": most}
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if bound in schema:
            made.pop(bound, None)
            made[flag if schema.get(flag) else bound] = schema[bound]
    return made


def _heirs(library: Library) -> dict[Name, list[str]]:
    """Finds, for each definition with a discriminator, the definitions that derive from it, however far."""
    children: dict[Name, list[Name]] = {}
    bases: list[Name] = []
    for document, contract in library.documents.items():
        for name, definition in contract.get("definitions", {}).items():
            me = (document, f"/definitions/{name}")
            if "discriminator" in definition:
                bases.append(me)
            for parent in definition.get("allOf", []):
                if "$ref" in parent:
                    children.setdefault(library.locate(parent["$ref"], document), []).append(me)
    return {base: ["#".join(heir) for heir in _below(base, children)] for base in bases}


def _below(base: Name, children: Mapping[Name, list[Name]]) -> Iterator[Name]:
    for child in children.get(base, []):
        yield child
        yield from _below(child, children)
