"""What the page says, in English and in Chinese: its own words, and the sentences of the analysis that are known."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

from capsexp import escape
from capsexp.analysis import metrics

_CODED = re.compile(r"([A-Z]+(?:_[A-Z]+)*): (.+)", re.DOTALL)
_SENTENCE = re.compile(r"[a-z]+ [a-z]+ [a-z]+")  # in English still: three words in a row
_LONGEST = 600  # characters of a sentence: foreign names in one may be of any length
NAMES = {"a second": "第二个", "a third": "第三个", "a fourth": "第四个", "a fifth": "第五个", "a sixth": "第六个"} | {
    "disturbed": "受干扰", "too short": "太短", "failed": "失败", "disturbed or too short": "受干扰或太短",
    "disturbed or failed": "受干扰或失败", "disturbed or failed or too short": "受干扰、失败或太短",
    "failed or too short": "失败或太短", "one more": "再多一个",
} | {f"{n} more": f"再多 {n} 个" for n in range(2, 65)}  # fmt: skip
CHINESE: dict[str, str] = json.loads(Path(__file__).with_name("chinese.json").read_text("utf-8"))  # by the English


@dataclass(frozen=True)
class Words:
    """The same in both languages, of which the page shows one."""

    en: str
    zh: str

    def __html__(self) -> str:
        if self.en == self.zh:
            return str(Markup.escape(escape.one_line(self.en)))
        pair = (escape.one_line(self.en), escape.one_line(self.zh))
        return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-CN">{}</span>').format(*pair)

    def format(self, *values: object, **named: object) -> Words:
        """With the values in their places."""

        def of(at: int) -> Words:
            texts = [(v.en, v.zh)[at] if isinstance(v, Words) else v for v in values]
            pairs = {k: (v.en, v.zh)[at] if isinstance(v, Words) else v for k, v in named.items()}
            both = (self.en, self.zh)[at].format(*texts, **pairs)
            return Words(both, both)

        return Words(of(0).en, of(1).zh)

    @property
    def spec(self) -> dict[str, list[str]]:
        """As it stands in a plot's specification: the page's script chooses."""
        return {"t": [self.en, self.zh]}


def say(english: str) -> Words:
    """Words of ours, of which the Chinese is known (see chinese.json), or which a metric says of itself."""
    return Words(english, CHINESE.get(english) or metrics.chinese().get(english, english))


def sentence(english: str) -> Words:
    """What the analysis says: in Chinese where each clause of it is known (see sentences.json), else in English in
    both. No sentence is half of each."""
    if len(english) > _LONGEST:
        return Words(english, english)
    found = []
    for each in re.split(r"(?<=\.) (?=[A-Z])", english):
        clauses = [_clause(clause) for clause in each.removesuffix(".").split("; ")]
        if None in clauses:
            return Words(english, english)
        found.append("；".join(clause for clause in clauses if clause))
    return Words(english, "。".join(found))


@lru_cache(maxsize=500)
def _clause(english: str) -> str | None:
    """A template fits with the shortest texts between its words, which are translated in turn. None where no template
    fits, or where a text is a sentence that no template fits."""
    if coded := _CODED.fullmatch(english):  # OTHER_CPU: why a run does not count
        reason = _clause(coded[2])
        return reason and f"{coded[1]}：{reason}"
    for pattern, chinese in _patterns():
        if match := pattern.fullmatch(english):
            values = [NAMES.get(value) or _clause(value) or value for value in match.groups()]
            if not any(_SENTENCE.search(value) for value in values):
                return chinese.format(*values)
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those with the most words of their own first."""
    known: dict[str, str] = json.loads(Path(__file__).with_name("sentences.json").read_text("utf-8"))
    order = sorted(known, key=lambda template: len(template.replace("{}", "")), reverse=True)
    return [(re.compile(re.escape(one).replace(r"\{\}", "(.+?)"), re.DOTALL), known[one]) for one in order]
