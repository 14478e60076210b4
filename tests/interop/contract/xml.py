"""Turns XML into the JSON that a contract's schemas describe, following their `xml` hints."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from .formats import number
from .load import Library, Located


class Xml:
    """Reads XML bodies."""

    def __init__(self, library: Library) -> None:
        """Follows references through `library`."""
        self._library = library

    def read(self, text: str, schema: Mapping[str, Any], document: str) -> Any:
        """Reads a body; raises ElementTree.ParseError where it is no XML.

        An element that the schema does not name stays, under its own name, so that a validator finds it.
        """
        return self._value(ElementTree.fromstring(text.lstrip("\ufeff")), Located(schema, document))

    def _value(self, element: ElementTree.Element, place: Located) -> Any:
        found = self._library.follow(place.value, place.document)
        kind = found.value.get("type")
        if kind == "array":
            return [self._value(child, Located(found.value["items"], found.document)) for child in element]
        if kind == "object" or "properties" in found.value:
            return self._object(element, found)
        return _scalar(element.text or "", kind)

    def _object(self, element: ElementTree.Element, found: Located) -> dict[str, Any]:
        made: dict[str, Any] = {}
        left = list(element)
        attributes = dict(element.attrib)
        for name, property_schema in found.value.get("properties", {}).items():
            place = Located(property_schema, found.document)
            self._property(name, place, made, left, attributes, element)
        return made | {child.tag: child.text or "" for child in left} | attributes

    def _property(
        self,
        name: str,
        place: Located,
        made: dict[str, Any],
        left: list[ElementTree.Element],
        attributes: dict[str, str],
        element: ElementTree.Element,
    ) -> None:
        """Moves what a property describes from what is left to what is made."""
        target = self._library.follow(place.value, place.document)
        hints = target.value.get("xml", {}) | place.value.get("xml", {})
        tag, kind = hints.get("name", name), target.value.get("type")
        if hints.get("x-ms-text"):
            made[name] = _scalar(element.text or "", kind)
        elif hints.get("attribute"):
            if tag in attributes:
                made[name] = _scalar(attributes.pop(tag), kind)
        elif kind == "array" and not hints.get("wrapped"):
            items = Located(target.value["items"], target.document)
            item = self._library.follow(items.value, items.document).value.get("xml", {}).get("name", tag)
            # Without a wrapper, no element and an empty list look the same.
            made[name] = [self._value(child, items) for child in _take(left, item)]
        else:
            for child in _take(left, tag):
                made[name] = self._value(child, place)


def _take(left: list[ElementTree.Element], tag: str) -> list[ElementTree.Element]:
    taken = [child for child in left if child.tag == tag]
    left[:] = [child for child in left if child.tag != tag]
    return taken


def _scalar(text: str, kind: str | None) -> Any:
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return number(text, kind)
