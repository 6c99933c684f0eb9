"""Owns XML of the S3 protocol: writing by string, reading with expat under limits. Pure.

A document type declaration is refused outright, so that there are no entities to expand.
"""

import re
from typing import NoReturn
from xml.parsers import expat

from pyrite.core.errors import PyriteError

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
DEPTH_MAX = 16
ELEMENTS_MAX = 100_000
"""An upload of 10,000 parts that states all checksums of each is completed with 80,001."""
ELEMENTS_USUALLY_MAX = 20_000
"""What all other documents may have: 1,000 rules of lifecycle, each with all that one may say, have less."""

_SPECIAL = re.compile('[&<>"\r\n\t\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


class MalformedXml(PyriteError):
    """The document is not well-formed, is too large, or uses what S3 documents never do."""


class Element:
    """An element: local name, children in order, own text, and the value of an attribute `type` ("": none)."""

    __slots__ = ("children", "kind", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[Element] = []
        self.text = ""
        self.kind = ""

    def find(self, name: str) -> str | None:
        """The text of the first child called `name`, or None."""
        for child in self.children:
            if child.name == name:
                return child.text
        return None


def _escape_one(match: re.Match[str]) -> str:
    character = match.group()
    entity = _ENTITIES.get(character)
    if entity is not None:
        return entity
    code = ord(character)
    if code in (9, 10, 13) or 0x7F <= code <= 0x9F:
        return f"&#{code};"
    if code < 0x20:
        return f"&#x{code:x};"  # what AWS sends; XML 1.0 has no form for it, encoding-type=url has
    return "\ufffd"


def escape(text: str) -> str:
    """`text` for use between tags."""
    return _SPECIAL.sub(_escape_one, text) if _SPECIAL.search(text) else text


def element(name: str, text: str) -> str:
    """`<name>text</name>`, escaped."""
    return f"<{name}>{escape(text)}</{name}>"


def write(root: Element) -> str:
    """A tree as text: names, texts and kinds, without namespaces."""
    kind = f' xmlns:xsi="{_XSI}" xsi:type="{escape(root.kind)}"' if root.kind else ""
    content = "".join(map(write, root.children)) if root.children else escape(root.text)
    return f"<{root.name}{kind}>{content}</{root.name}>"


class _Builder:
    def __init__(self, elements_max: int) -> None:
        self._elements_max = elements_max
        self.root: Element | None = None
        self._stack: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > self._elements_max or len(self._stack) >= DEPTH_MAX:
            raise MalformedXml("the document has too many elements or is nested too deeply")
        made = Element(name.rpartition(":")[2])
        if attributes:
            made.kind = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "type"), "")
        if self._stack:
            self._stack[-1].children.append(made)
        else:
            self.root = made
        self._stack.append(made)
        self._texts.append([])

    def end(self, _: str) -> None:
        self._stack.pop().text = "".join(self._texts.pop())

    def text(self, data: str) -> None:
        if self._stack:
            self._texts[-1].append(data)

    def refuse(self, *_: object) -> NoReturn:
        raise MalformedXml("a document type declaration is not accepted")


def parse(document: bytes, elements_max: int = ELEMENTS_USUALLY_MAX) -> Element:
    """The root element of `document`. Raises MalformedXml, also where it has too many elements."""
    builder = _Builder(elements_max)
    parser = expat.ParserCreate()  # that spells no namespace out: each name would be as long as that of its namespace
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise MalformedXml(str(error)) from error
    except (ValueError, LookupError) as error:  # of encodings
        raise MalformedXml(f"the encoding cannot be read: {error}") from error
    if builder.root is None:
        raise MalformedXml("the document is empty")
    return builder.root
