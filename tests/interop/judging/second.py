"""Lets oav, the official validator, judge recorded exchanges: a second opinion, with code that is not ours."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree

from contract.exchange import Exchange, read
from contract.load import Library
from contract.match import order, plane
from contract.validate import Finding

from . import tables
from .exchanges import list_uncovered
from .report import Report
from .tables import Excuse, Uncovered

VERSION = "4.0.3"
_BRIDGE = Path(__file__).with_name("oav.mjs")
_OFFICIAL = Path("azure-rest-api-specs")
# Stands for a key version that is left out, which the contract means by an empty segment and oav does not take.
_NEWEST = "newest"


def install(folder: Path) -> None:
    """Installs oav from npm, unless it is there in its version already."""
    manifest = folder / "node_modules" / "oav" / "package.json"
    if manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8"))["version"] == VERSION:
        return
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    subprocess.run(["npm", "install", *quiet, "--prefix", str(folder), f"oav@{VERSION}"], check=True)


class Oav:
    """Oav with the official contracts of a folder, of which it gets a copy that it can load."""

    def __init__(self, installed: Path, specs: Path, scratch: Path) -> None:
        """Copies the contracts of `specs` to `scratch`."""
        self._installed = installed
        self._documents: dict[str, set[str]] = defaultdict(set)
        self._versions: dict[str, set[str]] = defaultdict(set)
        library = Library(specs)
        for operation in library.operations:
            if Path(operation.document).is_relative_to(_OFFICIAL):
                self._documents[operation.plane].add(str(scratch / operation.document))
                self._versions[operation.plane].add(operation.version)
        shutil.copytree(specs / _OFFICIAL, scratch / _OFFICIAL, ignore=shutil.ignore_patterns("examples"))
        for name, document in library.documents.items():
            if Path(name).is_relative_to(_OFFICIAL):
                (scratch / name).write_text(json.dumps(_loadable(document)), encoding="utf-8")

    def judge(self, exchanges: list[Exchange]) -> list[dict[str, Any]]:
        """Gives oav's verdict on each exchange, in order; none is covered whose host has no contract."""
        named = [(index, name) for index, each in enumerate(exchanges) if (name := plane(each.host)) in self._documents]
        job = {
            "planes": {
                name: {"documents": sorted(documents), "arm": name == "arm"}
                for name, documents in self._documents.items()
            },
            "exchanges": [self._exchange(exchanges[index], name) for index, name in named],
        }
        command = ["node", str(_BRIDGE), str(self._installed)]
        said = subprocess.run(command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True).stdout
        verdicts: list[dict[str, Any]] = [{"covered": False} for _ in exchanges]
        for (index, _), line in zip(named, said.splitlines(), strict=True):
            verdicts[index] = json.loads(line)
        return verdicts

    def _exchange(self, exchange: Exchange, name: str) -> dict[str, Any]:
        """The asked version is tried first, then the earlier ones, the newest first, then the later ones."""
        known, asked = sorted(self._versions[name], key=order), exchange.api_version()
        later = [version for version in known if asked and order(version) > order(asked)]
        earlier = [version for version in known if version not in later]
        return {"plane": name, "versions": [*reversed(earlier), *later], "traffic": _traffic(exchange, name)}


def judge(oav: Oav, recorded: list[Path], uncovered: Path, excused: Path, *, whole: bool) -> bool:
    """Prints what oav says of every exchange; says whether all is well. Of a whole run, the tables fit exactly."""
    exchanges, report = [exchange for path in recorded for exchange in read(path)], Report()
    own = tables.read(excused)
    entries = [Uncovered(**entry) for table in (tables.read(uncovered), own) for entry in table.get("exchange", [])]
    exceptions = [Excuse(**entry) for entry in own.get("exception", [])]
    covered = 0
    for exchange, verdict in zip(exchanges, oav.judge(exchanges), strict=True):
        if verdict["covered"]:
            covered += 1
            title = f"{plane(exchange.host)} {exchange.method} {verdict['template']}"
            choice = f"{verdict['version']} for {exchange.api_version()}"
            findings = [_finding(issue, exchange) for issue in verdict["issues"]]
            report.judged(title, choice, exchange, findings, exceptions)
        else:
            list_uncovered(exchange, entries, report)
    for entry in [*entries, *exceptions] if whole else []:
        if not entry.used:
            report.find("the table", str(entry), "is needed by no exchange", entry.reason)
    print("\n".join(report.lines()))
    print(f"oav {VERSION}: {covered}/{len(exchanges)} exchanges have a contract; {_count(report)}")
    return not report.findings


def _count(report: Report) -> str:
    return f"{len(report.findings)} deviations, and {sum(report.excepted.values())} excused"


def _finding(issue: dict[str, str], exchange: Exchange) -> Finding:
    """The status belongs to the place, so that an exception for a refusal does not excuse a wrong success."""
    side = f"answer {exchange.status}" if issue["side"] == "answer" else "request"
    parts = ["[*]" if part.isdigit() else f".{part}" for part in issue["place"].split("/")[1:]]
    return Finding(side + "".join(parts), issue["code"], issue["message"])


def _traffic(exchange: Exchange, name: str) -> dict[str, Any]:
    request = {
        "url": _url(exchange, name),
        "method": exchange.method.lower(),
        "headers": dict(exchange.request_headers),
    }
    answer = {"statusCode": str(exchange.status), "headers": dict(exchange.answer_headers)}
    request |= _body(exchange.request_headers, exchange.request_body)
    answer |= _body(exchange.answer_headers, exchange.answer_body)
    return {"liveRequest": request, "liveResponse": answer}


def _body(headers: Mapping[str, str], text: str) -> dict[str, Any]:
    """Gives a body as the object that oav takes it for. A file's is empty: its content has no contract."""
    kind = headers.get("content-type", "")
    if not text:
        return {}
    if "json" in kind:
        return {"body": json.loads(text)}
    return {"body": _object(ElementTree.fromstring(text.lstrip("\ufeff"))) if "xml" in kind else {}}


def _object(element: ElementTree.Element) -> Any:
    return {child.tag: _object(child) for child in element} or element.text


def _url(exchange: Exchange, name: str) -> str:
    """Writes the address so that oav finds its operation."""
    address = urlsplit(exchange.url)
    path, query = address.path, exchange.query
    if name in ("keyvault", "managedhsm") and re.fullmatch(r"/(keys|secrets)/[^/]+/", path):
        path += _NEWEST
    if kind := exchange.request_headers.get("x-ms-blob-type"):
        # The contract tells uploads apart by a query parameter that is never sent.
        query.setdefault(kind.lower(), "")
    return urlunsplit(address._replace(path=path, query=urlencode(query)))


def _loadable(document: Any) -> dict[str, Any]:
    """Leaves out the host, whose parameters a trimmed contract lacks, and writes queries as oav compares them."""
    kept = {name: value for name, value in document.items() if name != "x-ms-parameterized-host"}
    if "x-ms-paths" in kept:
        kept["x-ms-paths"] = {_lower_names(path): item for path, item in kept["x-ms-paths"].items()}
    return kept


def _lower_names(path: str) -> str:
    """Writes the names of a path's query parameters in lower case."""
    return re.sub(r"(?<=[?&])[^=&]+", lambda name: name[0].lower(), path)
