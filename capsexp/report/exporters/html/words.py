"""What the page says in its own words, in English and in Chinese. Sentences of the analysis are English in both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from capsexp import escape

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
    def spec(self) -> dict[str, Any]:
        """As it stands in a plot's specification: the page's script chooses."""
        return {"t": [self.en, self.zh]}


def say(english: str) -> Words:
    """Words of ours, of which the Chinese is known (see chinese.json)."""
    return Words(english, CHINESE.get(english, english))
