"""An exchange: one request and its answer, as a run of Sealbook records them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; the names of headers are in lower case."""

    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: str
    status: int
    answer_headers: Mapping[str, str]
    answer_body: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Exchange":
        """Reads one record of an exchanges file."""
        request, answer = record["request"], record["answer"]
        return cls(
            method=record["method"].upper(),
            url=record["url"],
            request_headers=_lower(request["headers"]),
            request_body=request["body"],
            status=record["status"],
            answer_headers=_lower(answer["headers"]),
            answer_body=answer["body"],
        )

    @property
    def host(self) -> str:
        """Names the host, without a port."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """Gives the path as it was sent: percent-encoded, "/" where it was empty."""
        return urlsplit(self.url).path or "/"

    @property
    def query(self) -> dict[str, str]:
        """Gives the decoded query parameters."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    def api_version(self) -> str | None:
        """Names the version that the request asks for: a query parameter, or Storage's header."""
        return self.query.get("api-version") or self.request_headers.get("x-ms-version")

    def error_code(self) -> str:
        """Names the code of a refusal; it is empty where there is none."""
        if self.status < 400:
            return ""
        try:
            return json.loads(self.answer_body)["error"]["code"]
        except (json.JSONDecodeError, KeyError, TypeError):
            return self.answer_headers.get("x-ms-error-code", "")


def read(path: Path) -> Iterator[Exchange]:
    """Reads a file of exchanges, one JSON object per line."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield Exchange.of(json.loads(line))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
