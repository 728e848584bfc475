"""Headless Chromium for tests of the page, and a tab that remembers what went wrong in it."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 15_000
"""Milliseconds, for a machine that does much else."""

PAIR = "/#/translate?from=deu_Latn&to=fra_Latn"

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

TYPE = """(letters) => {
  for (const letter of letters) {
    document.getElementById('text').value += letter;
    document.getElementById('text').dispatchEvent(new Event('input'));
  }
}"""
"""Types without any time between two keys."""

EVENTS = """
window.caught = [];
for (const name of ['securitypolicyviolation', 'error', 'unhandledrejection'])
  addEventListener(name, ({ violatedDirective, message, reason }) =>
    caught.push(name + ': ' + (violatedDirective ?? message ?? reason)));
window.alert = window.xss = (text) => caught.push('a script ran: ' + text);
"""

FOREIGN = "script, iframe, img, object, embed, base, form[action], link, style, video, a:not([href^='#']), [style*=url]"
"""What markup that got in would be; the page has a few of these of its own."""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium, or skip the test where it or playwright is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="tests of the page need playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("`chromium` must be on the PATH for tests of the page, but is not. Install Debian's package.")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A tab with a storage of its own."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **context})
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script(EVENTS)
        self.page = self.context.new_page()
        self.address = address
        self.problems: list[str] = []
        self.page.on("request", self._see)
        self.page.on("console", self._hear)

    def open(self, path: str = "/") -> Any:
        """Load the page and wait until it knows its languages."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector("#summary:not(:empty)", state="attached")
        return self.page

    def caught(self) -> list[str]:
        """Return scripts that ran, errors, violations of the policy, and requests to elsewhere."""
        return self.page.evaluate("caught") + self.problems

    def foreign(self) -> int:
        """Return how many elements there are that could load or run something."""
        return self.page.evaluate("(css) => document.querySelectorAll(css).length", FOREIGN)

    def _see(self, request: Any) -> None:
        if not request.url.startswith(self.address):
            self.problems.append(f"asked elsewhere: {request.url}")

    def _hear(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            self.problems.append(message.text)


def accessibility(page: Any) -> list[str]:
    """Return what axe-core finds, in the light theme all of it, in the dark one what is hard to read.

    Skips the test where the PyPI package that carries axe-core is missing.
    """
    if not page.evaluate("'axe' in window"):
        found = importlib.util.find_spec("axe_playwright_python")
        if found is None or not found.submodule_search_locations:
            pytest.skip("`axe-playwright-python` must be installed for the test of accessibility, but is not.")
        page.evaluate(Path(found.submodule_search_locations[0], "axe.min.js").read_text("utf-8"))
    result = page.evaluate(
        """async () => {
          const options = { resultTypes: ['violations'], preload: false };
          const [light, root] = [await axe.run(document, options), document.documentElement];
          root.dataset.theme = 'dark';
          const dark = await axe.run(document, { ...options, runOnly: ['color-contrast'] });
          root.dataset.theme = 'light';
          return [light, dark];
        }"""
    )
    assert len(result[0]["passes"]) > 10
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:120]}"
        for part in result
        for rule in part["violations"]
        for node in rule["nodes"]
    ]


def expect(found: Any) -> Any:
    """Return playwright's assertions about a locator."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    return expect(found)


def translated(tab: Tab, text: str, expected: str | None = None) -> None:
    """Type a text and wait for its translation."""
    tab.page.fill("#text", text)
    expect(tab.page.locator("#output")).to_have_text(expected or f"[de→fr] {text}")
