"""A page as a browser without a network shows it, and what its console said."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import PATIENCE

ASKED = os.environ.get("CAPSEXP_TEST_BROWSER")  # CI: a browser that is not here is a failure, not a reason to skip


def chromium() -> str:
    found = shutil.which(ASKED or "chromium")
    if found is None:
        if ASKED:
            pytest.fail(f"CAPSEXP_TEST_BROWSER={ASKED} is not here")
        pytest.skip("no chromium here: on Debian, apt install chromium")
    if not ASKED:
        pytest.importorskip("playwright", reason="no playwright here: pip install -e .[dev]")
    return found


@dataclass
class Opened:
    """`said`: the console's lines and the page's errors; `asked`: what it requested beside itself."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def drawn(self, lang: str = "en") -> dict[str, str]:
        """Each plot, and whether it was drawn, when all are done."""
        self.page.wait_for_selector(f"html[data-drawn={lang}]", timeout=1000 * PATIENCE)
        return dict(self.page.eval_on_selector_all(".plot", "all => all.map(e => [e.id, e.dataset.drawn])"))


@contextmanager
def launched() -> Iterator[Any]:
    where = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, width: int = 1100, **more: Any) -> Iterator[Opened]:
    context = browser.new_context(
        **{"offline": True, "viewport": {"width": width, "height": 900}, "locale": "en-US", **more}
    )
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(path.as_uri())
    found.asked.remove(path.as_uri())
    yield found
    context.close()
