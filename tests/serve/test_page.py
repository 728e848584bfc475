"""The page in a real browser: what a user does, what an attacker tries, and what a screen reader needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from page_attacks import ATTACKS, SOME, attack_metadata, attack_texts
from page_browser import PAIR, TYPE, Tab, accessibility, chromium, expect, translated
from page_server import ADMIN_KEY, Backend, serving


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Backend, str]]:
    backend = Backend()
    with serving(backend) as address:
        yield backend, address


@pytest.fixture
def backend(server) -> Backend:
    server[0].__dict__.update(Backend().__dict__)
    return server[0]


@pytest.fixture
def tab(browser, server, backend) -> Iterator[Tab]:
    tab = Tab(browser, server[1])
    yield tab
    tab.context.close()


def test_translating(tab, backend):
    page = tab.open("/#/translate?from=auto&to=fra_Latn")
    translated(tab, "Guten Tag")
    expect(page.locator("#badges")).to_contain_text("Direct")
    expect(page.locator("#badges")).to_contain_text("chrF++")
    expect(page.locator("#source-picker button.pick")).to_have_text("German detected")
    expect(page.locator("#detected")).to_have_text("Detected with 92 % confidence")
    expect(page.locator("#count")).to_have_text("9 / 5,000")
    page.click("#how summary")
    expect(page.locator("#versions tbody tr")).to_have_count(2)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "[de→fr] Guten Tag"
    page.click("#more")
    page.click(".other >> nth=1")
    expect(page.locator("#output")).to_have_text("[de→fr] Guten Tag (2)")
    backend.via = "pivot"
    page.click("#swap")
    expect(page.locator("#output")).to_have_text("[fr→de] [de→fr] Guten Tag (2)")
    expect(page.locator("#badges")).to_contain_text("Via English")
    assert backend.asked[0] == {"q": "Guten Tag", "source": "auto", "target": "fr", "format": "text"}
    assert tab.caught() == []


def test_a_text_in_the_target_language_is_explained(tab, backend):
    page = tab.open("/#/translate?from=auto&to=deu_Latn")
    backend.translation, backend.via = "Guten Tag", "none"
    translated(tab, "Guten Tag", "Guten Tag")
    expect(page.locator("#detected")).to_contain_text("This is German already")
    expect(page.locator("#badges")).to_contain_text("Unchanged")
    page.click("#swap")
    assert tab.caught() == []


def test_only_the_last_text_is_answered_and_the_earlier_requests_are_given_up(tab, backend):
    page = tab.open(PAIR)
    translated(tab, "a")
    backend.delay = 0.6
    given_up: list[str] = []
    page.on("requestfailed", lambda request: given_up.append(request.post_data_json["q"]))
    for text in ("ab", "abc"):
        page.fill("#text", text)
        page.press("#text", "Control+Enter")
    page.evaluate(TYPE, "defgh")
    expect(page.locator("#output")).to_have_text("[de→fr] abcdefgh")
    texts = [body["q"] for body in backend.asked]
    assert texts == ["a", "ab", "abc", "abcdefgh"], "each key must not be a request of its own"
    assert given_up == ["ab", "abc"]


def test_picking_languages_with_the_keyboard_alone(tab):
    page = tab.open(PAIR)
    page.focus("#target-picker button.pick")
    page.keyboard.press("Enter")
    page.keyboard.type("ara")
    page.keyboard.press("Enter")
    expect(page.locator("#target-picker button.pick")).to_have_text("Modern Standard Arabic")
    assert page.evaluate("document.activeElement === document.querySelector('#target-picker button.pick')")
    translated(tab, "Tag", "[de→ar] Tag")
    assert page.get_attribute("#output", "dir") == "rtl"
    assert page.get_attribute("#output", "lang") == "ar"
    page.focus("#target-picker button.pick")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("zzz")
    expect(page.locator(".none")).to_be_visible()
    page.reload()
    page.click("#target-picker button.pick")
    expect(page.locator("#target-picker .title >> nth=0")).to_have_text("Recent")


def test_failures_are_explained_and_tried_again(tab, backend):
    page = tab.open(PAIR)
    translated(tab, "eins")
    notice = page.locator("#notice")
    backend.failures = [(429, {"Retry-After": "1"}, "slow down"), (503, {"Retry-After": "1"}, "the queue is full")]
    page.fill("#text", "zwei")
    expect(notice).to_contain_text("Too many requests")
    expect(notice).to_contain_text("The server is busy")
    expect(page.locator("#output")).to_have_text("[de→fr] zwei")
    expect(notice).to_be_empty()
    tab.context.set_offline(True)
    page.fill("#text", "drei")
    expect(notice).to_contain_text("You are offline")
    tab.context.set_offline(False)
    expect(page.locator("#output")).to_have_text("[de→fr] drei")
    page.fill("#text", "x" * 5001)
    expect(notice).to_contain_text("It has 1 character more than the 5,000")
    backend.key = "a key"
    page.fill("#text", "vier")
    notice.get_by_label("Access key").fill("a key")
    notice.get_by_text("Use key").click()
    expect(page.locator("#output")).to_have_text("[de→fr] vier")
    assert "a key" not in page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location")


def test_the_matrix_of_scores(tab):
    page = tab.open("/#/languages")
    cells = page.locator(".heat td[data-to]")
    expect(cells).to_have_count(56)
    expect(page.locator("#library .plain tbody tr")).to_have_count(8)
    page.focus(".heat td[tabindex='0']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map-detail strong")).to_have_text("English → French")
    colours = page.evaluate(
        "new Set([...document.querySelectorAll('.heat td[data-to]')].map((cell) => cell.style.backgroundColor)).size"
    )
    assert colours > 10
    page.keyboard.press("Enter")
    expect(page.locator("#source-picker button.pick")).to_have_text("English")
    expect(page.locator("#target-picker button.pick")).to_have_text("French")
    assert tab.caught() == []


def test_admin_verbs_ask_first_and_show_progress(tab, backend):
    backend.runs = [{"languages": ["fur_Latn"], "step": 30, "steps": 120, "loss": 2.5, "seconds_left": 300}]
    backend.runs[0]["adapters"] = {"fur_Latn.source": {"epoch": 3, "dev_loss": 2.25, "best_loss": 2.0, "stopped": True}}
    page = tab.open("/#/admin")
    page.fill("#admin-key", "wrong")
    page.click("text=Unlock")
    expect(page.get_by_role("alert")).to_contain_text("not accepted")
    page.fill("#admin-key", ADMIN_KEY)
    page.click("text=Unlock")
    expect(page.locator(".run")).to_contain_text("step 30 of 120 · loss 2.500 · 5 min left")
    expect(page.locator(".run strong")).to_have_text("Friulian (fur_Latn)")
    expect(page.locator(".adapters tbody tr")).to_have_text("fur_Latn.source32.2502.000done")
    backend.runs[0]["step"] = 60
    expect(page.locator(".run")).to_contain_text("step 60 of 120")
    page.get_by_role("button", name="Remove Friulian").click()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert backend.done == []
    page.get_by_role("button", name="Remove Friulian").click()
    page.locator("dialog").get_by_text("Remove", exact=True).click()
    expect(page.get_by_role("button", name="Remove Friulian")).to_have_count(0)
    for verb in ("Update", "Roll back"):
        page.get_by_role("button", name=f"{verb} German").click()
        page.locator("dialog").get_by_text(verb, exact=True).click()
        expect(page.locator("dialog")).to_have_count(0)
    page.fill("#install-code", "fur_Latn/../x")
    page.click("text=Install >> nth=-1")
    expect(page.locator("#toast")).to_have_class("toast shown")
    assert backend.done[:3] == [("DELETE", "fur_Latn"), ("POST", "deu_Latn"), ("rollback", "deu_Latn")]
    page.reload()
    expect(page.locator("#admin-key")).to_have_value("")


def test_the_theme_and_the_direction_are_remembered(tab):
    page = tab.open(PAIR)
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "dark"
    tab.open()
    assert page.get_attribute("html", "data-theme") == "dark"
    expect(page.locator("#source-picker button.pick")).to_have_text("German")
    page.goto(f"{tab.address}/#/translate?from=heb_Hebr")
    expect(page.locator("#source-picker button.pick")).to_have_text("Hebrew")
    assert page.get_attribute("#text", "dir") == "rtl"


def test_a_phone_shows_everything_in_its_width(browser, server, backend):
    tab = Tab(browser, server[1], viewport={"width": 360, "height": 740}, has_touch=True)
    page = tab.open(PAIR)
    translated(tab, "word " * 60 + "x" * 200)
    for view in ("Translate", "Languages", "Admin"):
        page.click(f"nav >> text={view}")
        page.wait_for_selector(f"#{view.lower()}:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    tab.context.close()


@pytest.mark.parametrize("attacks", [SOME, pytest.param(ATTACKS, marks=pytest.mark.soak)], ids=["some", "all"])
def test_attacks_stay_text(tab, backend, attacks):
    attack_texts(tab, backend, attacks)
    for start in range(0, len(attacks), 25):
        attack_metadata(tab, backend, attacks[start : start + 25])


def test_what_catches_attacks_catches_them(tab):
    """The test above means something only if a script that got in would be seen."""
    page = tab.open()
    own = tab.foreign()
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
    assert tab.foreign() == own + 1
    assert any("img-src" in problem for problem in tab.caught())


def test_accessibility(tab, backend):
    backend.runs = [{"languages": ["fur_Latn"], "step": 30, "steps": 120, "loss": 2.5, "state": "running"}]
    backend.broken = {"nob_Latn": "a hash is wrong"}
    page = tab.open(PAIR)
    found = {}
    translated(tab, "Guten Tag")
    page.click("#more")
    page.click("#how summary")
    page.wait_for_selector(".other")
    backend.failures = [(503, {"Retry-After": "60"}, "busy")]
    page.click("#more")
    page.wait_for_selector("#notice .notice")
    found["translating"] = accessibility(page)
    page.click("#target-picker button.pick")
    found["picking"] = accessibility(page)
    page.keyboard.press("Escape")
    page.click("text=Languages")
    page.locator(".heat td[data-to]").first.focus()
    found["languages"] = accessibility(page)
    page.click("text=Admin")
    found["locked"] = accessibility(page)
    page.fill("#admin-key", ADMIN_KEY)
    page.click("text=Unlock")
    page.wait_for_selector(".run")
    page.locator("[aria-label^=Remove]").first.click()
    found["asking"] = accessibility(page)
    page.keyboard.press("Escape")
    found["admin"] = accessibility(page)
    assert found == {view: [] for view in found}
    page.evaluate("document.body.append(document.createElement('button'))")
    assert "button-name" in accessibility(page)[0]
