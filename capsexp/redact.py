"""A sweep's files without what was said and without the names of the files it was said in: hashes stand for both, so
that who has the audio can still tell which is which. What the report counted stays."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from capsexp.errors import ArchiveError
from capsexp.files import read_json, storing, write_json, write_text
from capsexp.report.exporters import html
from capsexp.results.read import REFERENCE, read_report, read_sweep
from capsexp.results.tables import sizes

LEFT_OUT = "[left out]"
_TEXTS = ("text", "text_accu")
_SAID = ("transcript", "reference")  # the latter before 0.2
_GRAM, _HAN_GRAM = 12, 4  # characters in a row by which a text is known; of Chinese, fewer say as much
_READABLE = (".json", ".csv", ".txt", ".md", ".html", ".xml", ".log", ".yaml", ".1")


class Redaction:
    """What is to be left out of the files of one sweep."""

    def __init__(self, folder: Path) -> None:
        names, texts, places = set[str](), set[str](), set[str]()
        for path in sorted(folder.glob("*/run.json")):
            run = _json(path)
            names |= {str(s.get("name", s.get("file", ""))) for s in _dicts(run.get("samples"))}
            names |= {str(s.get("file", "")) for s in _dicts(run.get("skipped"))}
            places |= set(_values(run.get("config"), ("dir",)))
        for path in (*folder.glob("control/*/control.json"), *folder.glob("reference/*/reference.json")):
            reference = _json(path)
            said = reference.get("texts")
            names |= set(said) if isinstance(said, dict) else set()
            texts |= set(_values([said, reference.get("again")], (*_TEXTS, *_SAID)))
        for path in sorted(folder.glob("*/transcripts/*.json")):
            names.add(path.stem)
            texts |= set(_values(_json(path), (*_TEXTS, *_SAID)))
        self._names = {name: _named(name) for name in names if name}
        self._names |= {place: "samples-left-out" for place in places if place}
        known = sorted(self._names, key=len, reverse=True)
        self._known = re.compile("|".join(rf"(?<!\w){re.escape(n)}(?!\w)" for n in known)) if known else None
        self._grams = {gram for text in texts for gram in _grams(text)}
        short = [text for text in texts if 0 < len(text) < _GRAM]
        self._short = re.compile("|".join(rf"(?<=['\"“‘]){re.escape(t)}(?=['\"”’])" for t in short)) if short else None

    def copy(self, names: Iterable[tuple[str, Path]], target: Path) -> None:
        """These files below `target`, redacted. Raises StorageError."""
        page = False
        for name, path in names:
            parts = name.split("/")
            if name == html.FILE:
                page = True
                continue
            if "transcripts" in parts:
                if path.suffix != ".json":
                    continue
                parts[-1] = f"{self._names.get(path.stem, _named(path.stem))}.json"
            there = target.joinpath(*parts)
            with storing(there):
                there.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == ".json":
                    write_json(there, self._file(path))
                elif path.suffix in _READABLE and parts[0] != "conf":
                    write_text(there, self._text(path.read_text("utf-8", "backslashreplace")))
                else:
                    shutil.copyfile(path, there)
        for path in target.glob("*/run.json"):
            write_json(path, {**read_json(path), "tables": sizes(path.parent)})
        if page:
            _page(target)

    def _file(self, path: Path) -> Any:
        held = _json(path)
        left = self._value(held)
        if path.name == "run.json" and isinstance(held, dict) and REFERENCE.fullmatch(str(held.get("reference"))):
            left["reference"] = held["reference"]  # of a run it is a folder's name
        return left

    def _value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self._text(str(name)): self._value(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [] if key in ("tokens", "timestamps") else [self._value(inner, key) for inner in value]
        if not isinstance(value, str):
            return value
        if key in _SAID:
            return None  # its hash would be taken for what was said
        return _hash(value) if key in _TEXTS else self._text(value)

    def _text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(lambda found: self._names[found[0]], text)
        if self._short is not None:
            text = self._short.sub(LEFT_OUT, text)
        hidden = bytearray(len(text))
        for size in (_GRAM, _HAN_GRAM):
            for at in range(len(text) - size + 1):
                if text[at : at + size] in self._grams:
                    hidden[at : at + size] = b"\1" * size
        if not any(hidden):
            return text
        pieces: list[str] = []
        for character, out in zip(text, hidden, strict=True):
            if not out:
                pieces.append(character)
            elif not pieces or pieces[-1] != LEFT_OUT:
                pieces.append(LEFT_OUT)
        return "".join(pieces)


def _page(folder: Path) -> None:
    """report.html made of what is left: in the page itself a text stands in pieces, where no search finds it."""
    try:
        said = html.draw(read_report(folder), read_sweep(folder))
    except ArchiveError:  # the sweep is damaged, and so is its report
        return
    write_text(folder / html.FILE, said)


def _grams(text: str) -> Iterator[str]:
    for at in range(len(text)):
        if len(gram := text[at : at + _GRAM]) == _GRAM:
            yield gram
        han = text[at : at + _HAN_GRAM]
        if len(han) == _HAN_GRAM and min(han) >= "\u2e80":
            yield han


def _named(name: str) -> str:
    return f"sample-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _json(path: Path) -> Any:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {"left_out": "it could not be read"}
    return found


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _values(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys and isinstance(inner, str):
                yield inner
            else:
                yield from _values(inner, keys)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, keys)
