"""report.html as text: what is in it, that it is the same again, and that nothing foreign acts in it."""

import base64
import hashlib
import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.config import resolve
from capsexp.errors import ConfigError
from capsexp.report import build, tables
from capsexp.report.exporters import html
from capsexp.report.exporters.html import __main__ as maker
from capsexp.report.exporters.html import page
from capsexp.report.exporters.html.words import CHINESE, Words, say
from capsexp.results.read import SweepFiles
from tests.support.reports import a_run, a_sweep
from tests.support.settings import changed

HERE = Path(html.__file__).parent
LARGEST = 1_500_000  # bytes


def swept(**more: object) -> SweepFiles:
    runs = [a_run(w, s / w, trial=t) for w, s in ((1, 10.0), (2, 10.2), (3, 11.0)) for t in (1, 2, 3)]
    return a_sweep(runs, **more)  # type: ignore[arg-type]


def made(files: SweepFiles) -> str:
    return html.draw(build.assemble(files), files)


class Seen(HTMLParser):
    """The elements of a page, the text of its scripts, and the text of everything else."""

    def __init__(self, said: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self.feed(said)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.cdata_elem == "style":
            self.styles[-1] += data
        else:
            self.words.append(data)


def test_it_is_small_and_the_same_again() -> None:
    files = swept()
    said = made(files)
    assert len(said.encode()) < LARGEST
    assert said == made(swept())
    assert "\r" not in said  # a browser would hash another text than we did


def test_nothing_is_loaded_and_only_what_is_ours_runs() -> None:
    seen = Seen(made(swept()))
    outside = {"src", "action", "formaction", "data", "poster", "background", "ping", "srcset", "style"}
    for tag, attributes in seen.elements:
        assert not outside & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert tag not in ("link", "base", "iframe", "object", "embed", "form", "img")
    policy = next(a["content"] for t, a in seen.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for attributes, text in seen.scripts:
        if attributes.get("type") == "application/json":
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    [style] = seen.styles
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "url(" not in style and "@import" not in style


@given(st.text(st.characters(codec=None), max_size=40) | st.sampled_from(["</script>", "<!--", "]]>", "{{x}}", "${x}"]))
def test_foreign_text_is_text(foreign: str) -> None:
    run = a_run(1, 10.0, key=f"workers=1,{foreign}", heard=foreign, warnings=[foreign])
    files = a_sweep([run], name=foreign, argv=[foreign])
    said = made(files)
    usual = Seen(made(a_sweep([a_run(1, 10.0, key="workers=1,x")], name="x", argv=["x"])))
    seen = Seen(said)
    said.encode("utf-8")
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in usual.elements} | {"li", "ul"}
    assert [text for a, text in seen.scripts if "type" not in a] == [
        text for a, text in usual.scripts if "type" not in a
    ]
    for attributes, text in seen.scripts:
        if "type" in attributes:
            json.loads(text)


def test_numbers_are_those_of_the_other_forms() -> None:
    files = swept()
    report = build.assemble(files)
    words = " ".join(" ".join(Seen(html.draw(report, files)).words).split())
    for row in tables.rows(report):
        for cell in row:
            assert " ".join(cell.split()) in words
    for c in report.configurations:
        for tag in ("speedup", "throughput_rtfx", "peak_memory_mb", "steady_memory_mb", "load_peak_memory_mb"):
            value = c.value(tag)
            assert value is None or tables.shown(tag, value) in words


def test_what_only_the_report_is_at_hand_for_is_shown_without_its_files() -> None:
    files = swept()
    said = html.render(build.assemble(files))
    assert "At a glance" in said and 'id="table-speedup"' in said


def test_the_language_is_the_one_that_was_asked_for() -> None:
    assert 'data-lang="zh" data-choice="zh"' in made(swept(report={"lang": "zh"}))
    assert 'data-lang="en" data-choice="auto"' in made(swept(report={"lang": "<de>"}))  # somebody else's archive
    assert resolve(changed("report.lang", "zh")).report.lang == "zh"
    with pytest.raises(ConfigError, match=r"report\.lang: 'de' is not one of auto, en, zh"):
        resolve(changed("report.lang", "de"))


def test_all_words_of_ours_are_known_in_chinese() -> None:
    sources = [path.read_text("utf-8") for path in [*HERE.glob("*.py"), HERE / "page.html"]]
    used = {m[1] for text in sources for m in re.finditer(r'(?:\bsay|\b_)\("((?:[^"\\]|\\.)+)"', text)}
    headers = {h.replace("\n", " ") for h in (*tables.HEADERS,)}
    assert used and not (used | headers) - CHINESE.keys()
    for english, chinese in CHINESE.items():
        fields = [[f[1] for f in string.Formatter().parse(text) if f[1] is not None] for text in (english, chinese)]
        assert fields[0] == fields[1], english


def test_words_are_formatted_in_both_languages() -> None:
    words = Words("{} of {n}", "{n} 中的 {}").format(say("FAIL"), n="<b>")
    assert (words.en, words.zh) == ("FAIL of <b>", "<b> 中的 未通过")
    assert "<b>" not in words.__html__() and "&lt;b&gt;" in words.__html__()


@pytest.mark.slow
def test_the_plotting_library_is_as_its_package_bundles_it() -> None:
    assert (HERE / "vega.js").read_text("utf-8") == maker.bundle()


def test_readings_that_nobody_knows_are_no_good_ones() -> None:
    assert (page.tone("PASS"), page.tone("?")) == ("good", "bad")
