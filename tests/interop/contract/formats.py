"""The formats that Azure's contracts name, as checks of JSON Schema."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from jsonschema import FormatChecker

CHECKER = FormatChecker(formats=())

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_ARM_ID = re.compile(r"/(subscriptions|providers)/.+", re.IGNORECASE)


@CHECKER.checks("date-time")
def is_date_time(value: object) -> bool:
    """Checks a date and time of RFC 3339, which has an offset."""
    if not isinstance(value, str):
        return True
    # Python knows microseconds; Azure sends up to seven digits.
    text = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
    return bool(_RFC3339.fullmatch(value)) and _parses(datetime.fromisoformat, text)


@CHECKER.checks("date-time-rfc1123")
def is_http_date(value: object) -> bool:
    """Checks a date and time of RFC 1123, as HTTP's headers have it."""
    return not isinstance(value, str) or (value.endswith(" GMT") and _parses(parsedate_to_datetime, value))


@CHECKER.checks("uuid")
def is_uuid(value: object) -> bool:
    """Checks a UUID with its hyphens."""
    return not isinstance(value, str) or (len(value) == 36 and _parses(UUID, value))


@CHECKER.checks("byte")
def is_base64(value: object) -> bool:
    """Checks padded base64."""
    return not isinstance(value, str) or _parses(lambda text: base64.b64decode(text, validate=True), value)


@CHECKER.checks("base64url")
def is_base64url(value: object) -> bool:
    """Checks base64url, padded or not."""
    return not isinstance(value, str) or (bool(_BASE64URL.fullmatch(value)) and len(value.rstrip("=")) % 4 != 1)


@CHECKER.checks("arm-id")
def is_resource_id(value: object) -> bool:
    """Checks the id of a resource of Azure Resource Manager."""
    return not isinstance(value, str) or bool(_ARM_ID.fullmatch(value))


def _parses(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except (ValueError, TypeError, binascii.Error):
        return False
    return True


def number(text: str, kind: str | None) -> Any:
    """Reads a text as a number of the contract's type; what is none, or is to be none, stays a text."""
    try:
        return {"integer": int, "number": float}.get(kind or "", str)(text)
    except ValueError:
        return text
