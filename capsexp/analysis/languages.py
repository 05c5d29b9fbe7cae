"""Whether an engine can know the language of what it is given. Pure.

An engine of another language gives fluent words of its own, the same ones every time: correctness says 100 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SCRIPTS = {
    "han": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"),
    "kana": re.compile(r"[\u3041-\u30ff]"),
    "hangul": re.compile(r"[\uac00-\ud7a3]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
}
_WRITTEN = {  # what a language is written in, where that is not Latin
    "zh": {"han"}, "yue": {"han"}, "ja": {"han", "kana"}, "ko": {"hangul", "han"},
    "ru": {"cyrillic"}, "uk": {"cyrillic"}, "bg": {"cyrillic"}, "sr": {"cyrillic", "latin"},
    "ar": {"arabic"}, "fa": {"arabic"}, "ur": {"arabic"}, "hi": {"devanagari"}, "mr": {"devanagari"}, "th": {"thai"},
}  # fmt: skip
MOST_CER = 0.8  # of texts with words in both: another language, or another normalization altogether
EXCERPT = 60  # characters


def script(texts: Iterable[str]) -> str | None:
    """What most of the texts is written in; a character of Chinese counts as the word that it is. None: no letters."""
    whole = " ".join(texts)
    counts = {name: len(pattern.findall(whole)) for name, pattern in _SCRIPTS.items()}
    counts["latin"] /= 5  # type: ignore[assignment]
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        return None
    return "kana" if best == "han" and counts["kana"] > counts["han"] / 10 else best


def misfit(
    engine: str,
    known: Sequence[str],
    language: str | None,
    references: Sequence[str | None],
    engines: Mapping[str, Sequence[str]] | None = None,
) -> str | None:
    """Why the engine cannot be right on this set, from what both say and from the transcripts; None where it may be.
    `known`: the engine's languages, empty where nobody knows. `language`: the set's. `engines`: those that there are
    and what they recognize, of which one may help."""
    if not known:
        return None
    if language is not None:
        if _base(language) in {_base(k) for k in known} or {_base(language), *known} >= {"zh", "yue"}:
            return None
        return (
            f"the samples are in {language}, and engine={engine} recognizes {_listed(known)}: its texts will mean "
            f"nothing, whatever the correctness says; {_remedy(engine, {_base(language)}, engines or {})}"
        )
    written = script(text for text in references if text)
    if written is not None and not any(written in _WRITTEN.get(_base(k), {"latin"}) for k in known):
        return (
            f"the transcripts are in {written.capitalize()} script, and engine={engine} recognizes {_listed(known)}: "
            "its texts will mean nothing, whatever the correctness says; "
            f"{_remedy(engine, _written_in(written, engines or {}), engines or {})}"
        )
    return None


def _written_in(script: str, engines: Mapping[str, Sequence[str]]) -> set[str]:
    """The languages that are written so: those that are known to be, and of Latin script any that an engine knows."""
    spoken = {_base(language) for known in engines.values() for language in known}
    return {language for language in {*_WRITTEN, *spoken} if script in _WRITTEN.get(language, {"latin"})}


def _remedy(engine: str, spoken: set[str], engines: Mapping[str, Sequence[str]]) -> str:
    """An engine of one of these languages, or a model for this one."""
    able = [
        f"engine={name} ({_listed(known)})"
        for name, known in sorted(engines.items()) if name != engine and spoken & {_base(k) for k in known}
    ]  # fmt: skip
    model = f"a model of that language for engine={engine} (engine.model_dir=FOLDER)"
    return f"use {' or '.join([*able, model])}"


def unknown(engine: str, known: Sequence[str], language: str | None, references: Sequence[str | None]) -> str | None:
    """What to say where nothing tells whether the engine fits: neither the set's language nor a transcript."""
    if not known or language is not None or any(references):
        return None
    return (
        f"engine={engine} recognizes {_listed(known)}, and the language of the samples is not known: "
        f"confirm it with samples.language={known[0]}, or name an engine of their language"
    )


def looks_wrong(references: Sequence[str | None], heard: Sequence[str], cer: float | None) -> str | None:
    """Whether what was heard looks like another language than what was said."""
    said = script(text for text in references if text)
    found = script(heard)
    if said is None or found is None:
        return None
    if said != found and {said, found} != {"han", "kana"}:
        return f"the transcripts are in {said.capitalize()} script and what was heard in {found.capitalize()}"
    if cer is not None and cer >= MOST_CER:
        return f"the character error rate is {100 * cer:.0f} %"
    return None


def warning(
    settings: Mapping[str, Any] | None,
    known: Sequence[str],
    language: str | None,
    answers: Sequence[tuple[str, str | None, str]],
    cer: float | None,
    engines: Mapping[str, Sequence[str]] | None = None,
    speaks: bool = True,
) -> str | None:
    """For a report: what speaks against the engine, with an excerpt of what it heard. `settings`: the engine's, None
    where the server is not ours. `answers`: the name, reference and text of each sample. `speaks`: whether its
    texts are words of a language; else they tell nothing."""
    if not speaks:
        return None
    engine = str(settings.get("name")) if settings is not None else ""
    references, heard = [reference for _, reference, _ in answers], [text for _, _, text in answers]
    reason = misfit(engine, known, language, references, engines)
    if reason is None and (looks := looks_wrong(references, heard, cer)):
        who = f"engine={engine}" if engine else "the server"
        reason = f"{looks}: {who} may not know the language of the samples"
    reason = reason or unknown(engine, known, language, references)
    example = next(((name, text) for name, _, text in answers if text.strip()), None)
    if reason is None or example is None:
        return reason
    name, text = example
    short = text.strip()[:EXCERPT] + ("…" if len(text.strip()) > EXCERPT else "")
    return f"{reason}. Recognized in {name}: {short!r}"


def _base(language: str) -> str:
    code = re.split(r"[-_]", language.strip().lower())[0]
    return {"cmn": "zh", "mandarin": "zh", "chinese": "zh", "english": "en", "eng": "en", "cantonese": "yue"}.get(
        code, code
    )


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known)
