from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.serve.markup import mark

PIECES = [
    "<p>", "</p>", "<b class='x'>", "</b>", "<br>", "<br/>", '<a href="a>b">', "<a title=it's>", "<!-- a --", "-->",
    "<script>", "</script>", "<code>", "</code>", "<p translate=no>", "&amp;", "&eacute;", "&", "<", ">", "a < b",
    "'", '"', "=", "Hallo", "wie geht es", " ", "\n", "{name}", "%s", "https://a.b/c?d", "<![CDATA[", "]]>", "<?x",
    "</", "<!", "ة",
]  # fmt: skip
DOCUMENTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def shout(text: str, kind="html", **options) -> str:
    """Translate into capital letters."""
    marked = mark(text, kind, **options)
    return marked.join([ask.upper() for ask in marked.asks])


@given(DOCUMENTS | st.text(max_size=200), st.sampled_from(["text", "html", "xml"]))
def test_nothing_is_cut_and_an_identity_changes_no_tag(text, kind):
    """All parts in order are the text: tags as they were, runs but for how a letter is escaped."""
    import html

    marked = mark(text, kind)
    same = marked.join(marked.asks)
    if kind == "text":
        assert same == text
    else:
        assert html.unescape(same) == html.unescape(text)
        tags = [part for part in marked.parts if isinstance(part, str)]
        position = 0
        for tag in tags:
            position = same.index(tag, position) + len(tag)


@given(DOCUMENTS, st.sampled_from(["<script>alert(1)</script>", "<img src=x onerror=y>", "a & b", "</p>"]))
def test_no_answer_can_make_a_tag(text, answer):
    """What a model writes stands escaped."""
    marked = mark(text, "html")
    count = len(marked.asks)
    without = marked.join(["x"] * count)
    assert marked.join([answer] * count).count("<") == without.count("<")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>Hallo <b>du</b>, &uuml;ber</p>", "<p>HALLO <b>DU</b>, ÜBER</p>"),
        ("a &lt; b &amp;gt; c", "A &lt; B &amp;GT; C"),
        ("<code>x = 1</code> und <pre translate='no'>y<pre>z</pre></pre> gut", None),
        ("<script>if (a < b) { c('</p>') }</script>gut", "<script>if (a < b) { c('</p>') }</script>GUT"),
        ('<span class="a notranslate">Lingraft</span> ist', '<span class="a notranslate">Lingraft</span> IST'),
        ('<a title="x > y" href=z>da</a>', '<a title="x > y" href=z>DA</a>'),
        ("<!-- nicht --> doch <![CDATA[nicht]]>", "<!-- nicht --> DOCH <![CDATA[nicht]]>"),
        ("gut <b offen", "GUT <b offen"),
        ("1 < 2 und 3 > 2", "1 &lt; 2 UND 3 &gt; 2"),
        ("<p title=it's>ja</p> <i>doch</i>", "<p title=it's>JA</p> <i>DOCH</i>"),
        ("10:30 <b>–</b> &nbsp; 3", "10:30 <b>–</b> &nbsp; 3"),
        ("<img alt=x translate=no> ja", "<img alt=x translate=no> JA"),
    ],
)
def test_html(before, after):
    after = after or "<code>x = 1</code> UND <pre translate='no'>y<pre>z</pre></pre> GUT"
    assert shout(before) == after


def test_ignored_elements_of_xml():
    assert shout("<x>ja<keep a='1'>nein</keep>ja</x>", "xml", ignore=["keep"]) == "<x>JA<keep a='1'>nein</keep>JA</x>"


@pytest.mark.parametrize("placeholder", ["{name}", "{0}", "{{ x }}", "${a.b}", "%s", "%1$s", "%(n)d", "%.2f",
                                         "https://a.b/c?d=e", "<x id=\"1\"/>", "{}"])  # fmt: skip
def test_a_placeholder_stays_in_its_sentence_and_survives(placeholder):
    text = f"Hallo {placeholder}, wie geht es"
    marked = mark(text, "text")
    assert marked.asks == (text, "Hallo", ", wie geht es")
    good = f"How goes it, {placeholder}"
    assert marked.join([good, "HALLO", ", WIE"]) == good
    assert marked.join(["How goes it", "HALLO", ", WIE"]) == f"HALLO {placeholder}, WIE", "lost: so around it"
    assert marked.join([good + placeholder, "HALLO", ", WIE"]) == f"HALLO {placeholder}, WIE", "one too many"


def test_placeholders_without_a_name_keep_their_order():
    marked = mark("%s von %d hier", "text")
    assert marked.join(["%d of %s here", "VON", "HIER"]) == "%s VON %d HIER"
    marked = mark("{a} von {b} hier", "text")
    assert marked.join(["{b} of {a} here", "VON", "HIER"]) == "{b} of {a} here"


def test_percent_is_no_placeholder():
    assert mark("100% sicher, 50 % dabei", "text").asks == ("100% sicher, 50 % dabei",)


@pytest.mark.parametrize(
    "unit", ["<a ", "<a b='", "<code>", "<code ", "<!--", "{{", '<a ="', "&", "<", "%(", "</a", "<p translate=no>"]
)
def test_a_scan_is_quick_whatever_stands_there(unit):
    text = "<code>" + unit * (100_000 // len(unit))
    for kind in ("text", "html", "xml"):
        start = time.process_time()
        mark(text, kind)
        assert time.process_time() - start < 0.5
