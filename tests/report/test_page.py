"""report.html in a browser: nothing is asked for, nothing complained of, every plot is drawn, everybody can read it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsexp.report import build
from capsexp.report.exporters import html
from capsexp.results.read import read_sweep
from tests.support.bench import Bench
from tests.support.browser import launched, opened
from tests.support.harmed import broken, hostile

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param is None:
        bench: Bench = request.getfixturevalue("bench")
        assert bench.run("workers=1,2", "load.repeats=2", "engine.rtf=0.02", "-m") == 0, bench.stderr
        files = read_sweep(bench.out)
    else:
        files = request.param()
    path = tmp_path / "report.html"
    path.write_text(html.draw(build.assemble(files), files), "utf-8")
    return path


@pytest.mark.parametrize("page", [None, hostile, broken], indirect=True, ids=["real", "hostile", "broken"])
def test_a_page_is_whole_quiet_and_for_everybody(browser: Any, page: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for width, scheme, locale in ((1100, "light", "en-US"), (390, "dark", "zh-CN")):
        with opened(browser, page, width, color_scheme=scheme, locale=locale) as it:
            drawn = it.drawn(locale[:2])
            assert drawn and set(drawn.values()) == {"yes"}, drawn
            assert len(it.page.query_selector_all(".plot svg")) == len(drawn)
            assert (it.said, it.asked) == ([], [])
            assert it.page.evaluate("document.documentElement.scrollWidth") <= width  # nothing is cut off at the side
            serious = [
                v["id"] for v in Axe().run(it.page).response["violations"] if v["impact"] in ("serious", "critical")
            ]
            assert not serious


@pytest.mark.parametrize("page", [broken], indirect=True)
def test_the_keyboard_reaches_everything(browser: Any, page: Path) -> None:
    with opened(browser, page) as it:
        it.drawn()
        can = "a[href], button, summary, [tabindex='0']"
        shown = it.page.eval_on_selector_all(
            can, "all => all.filter(e => e.checkVisibility()).map((e, n) => e.dataset.n = String(n))"
        )
        reached = []
        for _ in range(len(shown) + 1):
            it.page.keyboard.press("Tab")
            reached.append(it.page.evaluate("document.activeElement.dataset.n"))
        assert reached[: len(shown)] == shown
        it.page.focus("summary")
        it.page.keyboard.press("Enter")
        assert it.page.locator("details[open] table").first.is_visible()


@pytest.mark.parametrize("page", [broken], indirect=True)
def test_the_language_is_chosen_in_the_page(browser: Any, page: Path) -> None:
    with opened(browser, page) as it:
        before = it.drawn()
        assert it.page.locator("h2").first.inner_text() == "At a glance"
        it.page.focus("button[data-set=zh]")
        it.page.keyboard.press("Enter")
        assert it.drawn("zh") == before
        assert it.page.locator("h2").first.inner_text() == "概览"
        assert it.page.evaluate("document.documentElement.lang") == "zh-CN"
        assert "workers" not in it.page.locator("#plot-speedup svg").text_content()
        assert not it.said
