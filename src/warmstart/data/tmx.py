"""Rows of TMX files: translation memories, with a text in each of several languages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast
from xml.etree import ElementTree

from warmstart.data.compressed import open_bytes, read_problems
from warmstart.data.rows import Row
from warmstart.errors import DataError

__all__ = ["read_tmx"]

_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_ENTITY: Final = b"<!ENTITY"
_PIECE: Final = 2**16  # bytes


def read_tmx(path: Path) -> Iterator[Row]:
    """The translation units of a TMX file, with the language codes as columns: ``en``, ``de``.

    A region is dropped (``en-US`` is ``en``), unless two texts of a unit differ in it alone.

    Raises:
        DataError: if the file is missing, not XML, or has no translation units.
    """
    number = 0
    with read_problems(path), open_bytes(path) as file:
        try:
            for number, unit in enumerate(_units(file.read, path), start=1):
                yield Row(number, _texts(unit), "row")
        except ElementTree.ParseError as error:
            raise DataError(
                f"{path} is not valid XML ({error}); fetch or export it again."
            ) from None
    if number == 0:
        raise DataError(f"{path} has no translation units (tu); it needs at least one.")


def _units(read: Callable[[int], bytes], path: Path) -> Iterator[ElementTree.Element]:
    """Each translation unit, removed from the tree afterwards, so that memory stays bounded."""
    parser = cast(Any, ElementTree.XMLPullParser(("start", "end")))  # its types are incomplete
    above: list[ElementTree.Element] = []
    before = b""
    while piece := read(_PIECE):
        if _ENTITY in before + piece:  # a few lines of entities can expand to gigabytes
            raise DataError(f"{path} defines XML entities, which are not read; remove them.")
        before = piece[-len(_ENTITY) :]
        parser.feed(piece)
        for event, element in parser.read_events():
            if event == "start":
                above.append(element)
                continue
            above.pop()
            if element.tag == "tu":
                yield element
                above[-1].remove(element)
    parser.close()


def _texts(unit: ElementTree.Element) -> dict[str, object]:
    texts: dict[str, object] = {}
    for variant in unit.iter("tuv"):
        full = variant.get(_LANGUAGE) or variant.get("lang") or ""
        code = full.partition("-")[0].lower()
        segment = variant.find("seg")
        text = None if segment is None else " ".join("".join(segment.itertext()).split())
        texts[full if code in texts else code] = text
    return texts
