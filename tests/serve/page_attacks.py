"""Strings that run a script where a page lets text become markup, an address, a style or code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from page_browser import Tab
from page_server import ADMIN_KEY, Backend

_CALLS = ("alert(1)", "xss(1)", "alert`1`", "window['alert'](1)", "&#97;lert(1)", "\\u0061lert(1)")
_MARKUP = (
    "<script>{}</script>",
    "<ScRiPt >{}</sCrIpT>",
    "<img src=x onerror={}>",
    '"><img src=x onerror="{}">',
    "'><svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin={} attributeName=x dur=1s>",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={}&gt;'>",
    "<iframe srcdoc='<script>parent.{}</script>'></iframe>",
    "<iframe src=javascript:{}></iframe>",
    "<a href=javascript:{}>a</a>",
    "<details open ontoggle={}>",
    "<body onload={}>",
    "<input autofocus onfocus={}>",
    "<video><source onerror={}></video>",
    "<form action=javascript:{}><button>b</button></form>",
    "<object data=javascript:{}>",
    "<base href=//evil.example/><script src=x>{}</script>",
    "<link rel=stylesheet href=//evil.example/{}>",
    "<style>@import '//evil.example/{}'</style>",
    "<div style=background:url(//evil.example/{})>",
    "<img src=//evil.example/{}>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    "</textarea><script>{}</script>",
    "</title><script>{}</script>",
    "<!--><script>{}</script>-->",
    "<noscript><p title='</noscript><img src=x onerror={}>'>",
    "<template><script>{}</script></template>",
    "javascript:{}",
    "data:text/html,<script>{}</script>",
    "${{{}}}",
    "{{{{constructor.constructor('{}')()}}}}",
    "';{};//",
    '"-{}-"',
    "`+{}+`",
    "\\x3cscript\\x3e{}\\x3c/script\\x3e",
)
_OTHER = (
    "__proto__",
    "constructor",
    "\u202e<b>\u2066",
    "<\u0000script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
)

ATTACKS = tuple(form.format(call) for call, form in product(_CALLS, _MARKUP))[:200] + _OTHER
"""The first few dozen are one of each kind."""

SOME = (*ATTACKS[:36:6], *ATTACKS[-3:])


def attack_texts(tab: Tab, backend: Backend, attacks: Sequence[str]) -> None:
    """Type each attack, and give it back as translation, alternative and message; nothing may come of it."""
    own = (tab.open(), tab.foreign())[1]
    page = tab.open("/#/translate?from=auto&to=fra_Latn")
    for number, attack in enumerate(attacks):
        backend.translation = f"{number}{attack}"
        page.fill("#text", attack)
        page.press("#text", "Control+Enter")
        page.wait_for_selector(f"#output:text-matches('^{number}')")
        assert page.text_content("#output") == backend.translation
        backend.failures = [(400, {}, attack)]
        page.click("#more")
        page.wait_for_selector("#notice .notice")
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#notice .notice", state="detached")
    page.click("#more")
    page.wait_for_selector(".other")
    assert tab.foreign() == own
    assert tab.caught() == []


def attack_metadata(tab: Tab, backend: Backend, attacks: Sequence[str]) -> None:
    """Look at every view while codes, names, versions, the base and the trainings hold attacks."""
    own = (tab.open(), tab.foreign())[1]
    backend.names = {attack: (attack, attack) for attack in attacks}
    backend.base, backend.detected, backend.via = attacks[0], attacks[0], attacks[0]
    backend.broken = {attack: attack for attack in attacks}
    backend.runs = [
        {"languages": [attack], "step": attack, "steps": 9, "state": attack, "adapters": {attack: {"epoch": attack}}}
        for attack in attacks
    ]
    page = tab.open("/#/languages")
    page.reload()
    page.wait_for_selector(".heat td[data-to]")
    page.locator(".heat td[data-to]").last.focus()
    page.click("a[href='#/translate']:text('Translate')")
    page.click("#source-picker button.pick")
    page.locator("#source-picker [role=option]").last.click()
    page.fill("#text", "text")
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#output:not(:empty)")
    page.click("a[href='#/admin']")
    page.fill("#admin-key", ADMIN_KEY)
    page.click("text=Unlock")
    page.wait_for_selector(".run")
    page.locator("[aria-label^=Remove]").first.click()
    page.wait_for_selector("dialog")
    page.locator("#admin-body a, #library a").evaluate_all(
        "(links) => links.forEach((a) => { if (!a.hash) throw a.href })"
    )
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert tab.foreign() == own
    assert tab.caught() == []
