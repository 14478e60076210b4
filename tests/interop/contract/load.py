"""Reads the contracts: the official swagger files, and those derived from the official SDKs.

The folder's layout is that of SOURCE.txt beside the contracts: `azure-rest-api-specs/specification/**` with relative
references, and `sdk-derived/*.json` with `x-api-version` per operation.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

METHODS = frozenset({"delete", "get", "head", "patch", "post", "put"})

# Key Vault names a key's newest version by leaving the version out, but not its slash.
_MAY_BE_EMPTY = frozenset({"key-version", "secret-version"})
# These hold several segments of a path.
_MAY_HOLD_SLASHES = frozenset({"blob", "parentResourcePath", "roleAssignmentId", "roleId", "scope"})
# These fit any resource of any provider, so they would cover what no contract names.
_FITS_ANYTHING = re.compile(r"^/\{[^}]+\}$|/\{parentResourcePath\}/\{resourceType\}/\{resourceName\}$")

_PLANES = (
    (re.compile(r"/resource-manager/|^sdk-derived/Microsoft\."), ("arm",)),
    (re.compile(r"/keyvault/data-plane/.*/keys\.json$|^sdk-derived/keyvault-data-keys"), ("keyvault", "managedhsm")),
    (re.compile(r"/keyvault/data-plane/.*/secrets\.json$"), ("keyvault",)),
    (re.compile(r"/keyvault/data-plane/|^sdk-derived/keyvault-data-"), ("managedhsm",)),
    (re.compile(r"/storage/data-plane/"), ("blob",)),
    (re.compile(r"/attestation/data-plane/"), ("attestation",)),
    (re.compile(r"/imds/data-plane/"), ("imds",)),
)


@dataclass(frozen=True)
class Located:
    """A piece of a contract, and the document in which its relative references start."""

    value: Mapping[str, Any]
    document: str


@dataclass(frozen=True)
class Operation:
    """One operation of one version of a contract."""

    plane: str
    method: str
    template: str
    selectors: Mapping[str, str] = field(hash=False)
    version: str
    document: str
    definition: Mapping[str, Any] = field(hash=False)
    parameters: tuple[Located, ...] = field(hash=False)
    pattern: re.Pattern[str] = field(hash=False)

    @property
    def title(self) -> str:
        """Names the operation for people."""
        selectors = "&".join(f"{name}={value}" for name, value in sorted(self.selectors.items()))
        return f"{self.method} {self.template}" + (f"?{selectors}" if selectors else "")

    @property
    def looseness(self) -> tuple[int, int]:
        """Counts the parameters that hold several segments, then the others: the least of several matches fits best."""
        names = re.findall(r"\{([^}]+)\}", self.template)
        many = sum(name in _MAY_HOLD_SLASHES for name in names)
        return many, len(names) - many

    @property
    def long_running(self) -> bool:
        """Says whether the contract calls the operation long-running."""
        return bool(self.definition.get("x-ms-long-running-operation"))


class Library:
    """All contracts of a folder."""

    def __init__(self, root: Path) -> None:
        """Reads the folder `root`; raises FileNotFoundError where it holds no contract."""
        self._root = root
        self._documents = {name: json.loads((root / name).read_text(encoding="utf-8")) for name in _names(root)}
        if not self._documents:
            raise FileNotFoundError(f"{root} holds no contract.")
        self.operations = [found for name in sorted(self._documents) for found in self._operations(name)]

    @property
    def documents(self) -> Mapping[str, Mapping[str, Any]]:
        """Gives every document under its path below the root."""
        return self._documents

    @property
    def root(self) -> Path:
        """Gives the folder of the contracts."""
        return self._root

    def locate(self, reference: str, document: str) -> tuple[str, str]:
        """Splits a reference into the document and the pointer that it names; both are canonical."""
        target, _, pointer = reference.partition("#")
        if not target:
            return document, pointer
        path = (self._root / document).parent / target
        return path.resolve().relative_to(self._root.resolve()).as_posix(), pointer

    def at(self, document: str, pointer: str) -> Mapping[str, Any]:
        """Gives what a pointer names; raises KeyError where there is nothing."""
        value: Any = self._documents[document]
        for part in filter(None, pointer.split("/")):
            value = value[unquote(part).replace("~1", "/").replace("~0", "~")]
        return value

    def follow(self, value: Mapping[str, Any], document: str) -> Located:
        """Follows a reference, if it is one, to what it names."""
        while "$ref" in value:
            document, pointer = self.locate(value["$ref"], document)
            value = self.at(document, pointer)
        return Located(value, document)

    def _operations(self, name: str) -> Iterator[Operation]:
        contract = self._documents[name]
        for group in ("paths", "x-ms-paths"):
            for path, item in contract.get(group, {}).items():
                for method in sorted(METHODS & item.keys()):
                    for plane in _planes(name):
                        yield self._operation(name, plane, path, method, item)

    def _operation(self, name: str, plane: str, path: str, method: str, item: Mapping[str, Any]) -> Operation:
        contract, definition = self._documents[name], item[method]
        template, _, selectors = path.partition("?")
        template = contract.get("basePath", "").rstrip("/") + template
        declared = [*definition.get("parameters", []), *item.get("parameters", [])]
        return Operation(
            plane=plane,
            method=method.upper(),
            template=template,
            selectors=dict(parse_qsl(selectors)),
            version=definition.get("x-api-version") or contract["info"]["version"],
            document=name,
            definition=definition,
            parameters=tuple(self.follow(parameter, name) for parameter in declared),
            pattern=_pattern(template, ignore_case=plane == "arm"),
        )


def fits_anything(operation: Operation) -> bool:
    """Says whether an operation's path fits any resource of any provider of Azure Resource Manager."""
    return operation.plane == "arm" and bool(_FITS_ANYTHING.search(operation.template))


def _names(root: Path) -> list[str]:
    folders = (root / "azure-rest-api-specs" / "specification", root / "sdk-derived")
    files = (file.relative_to(root) for folder in folders for file in folder.rglob("*.json"))
    return sorted(file.as_posix() for file in files if "examples" not in file.parts)


def _planes(name: str) -> tuple[str, ...]:
    return next((planes for pattern, planes in _PLANES if pattern.search(name)), ())


def _pattern(template: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Makes a pattern for paths; its groups are the template's parameters, in order."""
    parts = re.split(r"(\{[^}]+\})", template)
    text = "".join(_piece(part[1:-1]) if part.startswith("{") else re.escape(part) for part in parts)
    return re.compile(text, re.IGNORECASE if ignore_case else 0)


def _piece(name: str) -> str:
    if name in _MAY_HOLD_SLASHES:
        return "(.*)" if name == "scope" else "(.+)"
    return "([^/]*)" if name in _MAY_BE_EMPTY else "([^/]+)"
