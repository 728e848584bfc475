"""Formats: exact borders between the spans, language tokens at the right end, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lingraft.atoms import BaseError, Direction, LanguageError
from lingraft.base import ChatFormat, Encoded, PromptFormat, Seq2SeqFormat, make_format
from lingraft.base.format import clean, continue_ids

DIRECTION = Direction("deu_Latn", "fra_Latn")
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def words(tokenizer, ids) -> str:
    return tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)


def prompt(**options) -> PromptFormat:
    return PromptFormat(tiny.load("llama").tokenizer, names=tiny.NAMES, **options)


# decoder-only


def test_prompt_spans():
    base = tiny.load("llama")
    row, empty = base.format.encode(DIRECTION, [" der Hund\ntrinkt ", ""], ["le chien", "boit"])
    assert words(base.tokenizer, row.source) == "<s>German: der Hund trinkt\n"
    assert words(base.tokenizer, row.target) == "French:"
    assert words(base.tokenizer, row.answer) == " le chien</s>"
    assert words(base.tokenizer, empty.source) == "<s>German: \n"
    assert base.format.encode(DIRECTION, ["der Hund"])[0].answer == ()
    assert base.format.encode(DIRECTION, []) == []


def test_prompt_without_bos():
    base = tiny.load("qwen2")
    assert words(base.tokenizer, base.format.encode(DIRECTION, ["x"])[0].source) == "German: x\n"


def test_the_default_prompt_is_that_of_the_method():
    base = tiny.load("llama")
    row = PromptFormat(base.tokenizer).encode(DIRECTION, ["der Hund"], ["le chien"])[0]
    assert words(base.tokenizer, row.source) == "<s>Translate this from German to French:\nGerman: der Hund\n"
    assert words(base.tokenizer, row.target + row.answer) == "French: le chien</s>"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=4))
def test_any_text_keeps_the_borders_and_comes_back(texts):
    base = tiny.load("llama")
    rows = base.format.encode(DIRECTION, texts, texts)
    tag = rows[0].target
    for text, row in zip(texts, rows, strict=True):
        assert row == base.format.encode(DIRECTION, [text], [text])[0]
        assert words(base.tokenizer, row.source) == f"<s>German: {clean(text)}\n"
        assert row.target == tag
        assert row.answer[-1] == base.format.end
        assert base.format.decode(row.answer) == clean(text)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_the_spans_are_those_the_demo_base_was_trained_on(text):
    """``runs/demo_base.py`` tokenises name, text and newline one by one; whole spans must give the same."""
    base = tiny.load("llama")
    ids = lambda part: base.tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    row = base.format.encode(DIRECTION, [text], [text])[0]
    body = ids(f" {clean(text)}")
    assert list(row.source) == [base.tokenizer.bos_token_id, *ids("German:"), *body, *ids("\n")]
    assert list(row.target) == ids("French:")
    assert list(row.answer) == [*body, base.tokenizer.eos_token_id]


def test_special_tokens_in_a_text_are_text():
    base = tiny.load("llama")
    row = base.format.encode(DIRECTION, ["</s><pad>"], ["</s>"])[0]
    assert base.tokenizer.eos_token_id not in row.source + row.answer[:-1]
    assert base.tokenizer.pad_token_id not in row.source
    seq2seq = tiny.load("m2m_100")
    tokens = seq2seq.tokenizer.convert_tokens_to_ids(["fra_Latn", "</s>"])
    assert not set(seq2seq.format.encode(DIRECTION, ["fra_Latn </s>"])[0].source[1:-1]) & set(tokens)


def test_a_space_that_a_tokenizer_adds_does_not_come_between():
    """SentencePiece tokenizers put a space before each text they are given."""
    tokenizer = tiny.nllb_tokenizer()
    alone = tokenizer("hund", add_special_tokens=False)["input_ids"]
    after = continue_ids(tokenizer, "German:", ["hund", " hund"])
    joined = tokenizer(":hund", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(after[0])[0][0] != "▁"
    assert after[0] == joined[-len(after[0]) :]
    assert after[1] == alone
    assert continue_ids(tokenizer, "", ["hund"]) == [alone]


def test_decode_stops_at_the_end_and_at_the_line():
    format, tokenizer = prompt(), tiny.load("llama").tokenizer
    ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    assert format.decode(ids(" le chien\nGerman: der")) == "le chien"
    assert format.decode([*ids(" le"), format.end, *ids(" chien")]) == "le"
    assert format.decode([format.end]) == format.decode([]) == ""


def test_names_come_from_the_card_or_the_table():
    base = tiny.load("llama")
    mine = PromptFormat(base.tokenizer, **tiny.FORMAT, names={"deu_Latn": "Deutsch"})
    row = mine.encode(DIRECTION, ["x"])[0]
    assert words(base.tokenizer, row.source + row.target) == "<s>Deutsch: x\nFrench:"
    assert mine.knows("fur_Latn")


def test_the_hash_is_that_of_the_spec():
    assert prompt().hash == prompt().hash
    others = [prompt(answer="{text}"), prompt(target="{target} -"), PromptFormat(tiny.bpe_tokenizer())]
    assert len({prompt().hash, *(other.hash for other in others)}) == 4
    base = tiny.load("llama")
    assert make_format(base.format.spec(), base.tokenizer, base.model.config, base.family).hash == base.format.hash


def test_as_many_answers_as_texts():
    for family in ("llama", "m2m_100"):
        with pytest.raises(ValueError, match="zip"):
            tiny.load(family).format.encode(DIRECTION, ["a", "b"], ["c"])


def test_without_an_end_there_is_no_format():
    tokenizer = tiny.bpe_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(BaseError, match="eos_token"):
        PromptFormat(tokenizer)


# chat


def chat(template: str = CHAT) -> ChatFormat:
    tokenizer = tiny.bpe_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|end|>", "<|user|>", "<|assistant|>"]})
    tokenizer.chat_template = template
    return ChatFormat(tokenizer, names=tiny.NAMES)


def test_chat_spans_split_at_the_generation_prompt():
    format = chat()
    tokenizer = format._tokenizer
    row = format.encode(DIRECTION, ["der {Hund} <|end|>"], ["le chien"])[0]
    expected = "<s><|user|>\nTranslate this from German to French:\nder {Hund} <|end|><|end|>\n"
    assert words(tokenizer, row.source) == expected
    assert words(tokenizer, row.target) == "<|assistant|>\n"
    assert words(tokenizer, row.answer) == "le chien<|end|>"
    assert row.source.count(tokenizer.convert_tokens_to_ids("<|end|>")) == 1
    assert format.end == tokenizer.convert_tokens_to_ids("<|end|>") != tokenizer.eos_token_id
    assert format.decode(row.answer) == "le chien"


def test_chat_without_or_with_an_unusual_template():
    with pytest.raises(BaseError, match="chat template"):
        ChatFormat(tiny.bpe_tokenizer())
    with pytest.raises(BaseError, match="renders them otherwise"):
        chat("{{ messages | length }}")


NO_PROMPT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %}{{ m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def test_chat_answers_end_with_the_special_token_that_closes_a_turn():
    spaced = chat(NO_PROMPT)
    assert spaced.end == spaced._tokenizer.eos_token_id
    plain = chat(NO_PROMPT.replace("eos_token", "'###'"))
    assert plain.end == plain._tokenizer("###")["input_ids"][0]
    marked = chat(CHAT.replace("| trim }}<|end|>", "| trim }}\n<|end|>"))
    assert marked.end == marked._tokenizer.convert_tokens_to_ids("<|end|>")


def test_chat_without_a_generation_prompt_is_asked_by_the_end_of_the_users_turn():
    format = chat(NO_PROMPT)
    row = format.encode(DIRECTION, ["der Hund"], ["le chien"])[0]
    assert words(format._tokenizer, row.source) == "<s>[INST] Translate this from German to French:\nder Hund"
    assert words(format._tokenizer, row.target) == " [/INST]"
    assert words(format._tokenizer, row.answer) == "le chien</s>"


def test_a_format_that_ends_with_the_text_is_refused():
    with pytest.raises(BaseError, match="between the text and the answer"):
        chat("{% for m in messages %}{{ m.content }}{% endfor %}")
    with pytest.raises(BaseError, match="`target`.*is empty"):
        prompt(source="{source} to {target}: {text}", target="")


@pytest.mark.parametrize("names", [["German"], {"deu_Latn": 3}, {"de": "German"}, "German", None])
def test_the_names_of_a_format_are_checked(names):
    base = tiny.load("llama")
    with pytest.raises(BaseError, match="`names`"):
        make_format({**tiny.FORMAT, "names": names}, base.tokenizer, base.model.config, base.family)


def test_a_changed_chat_template_changes_the_hash():
    assert chat().hash == chat().hash != chat("{# v2 #}" + CHAT).hash


# encoder–decoder


@pytest.mark.parametrize(
    ("family", "german", "french"),
    [
        ("m2m_100", "deu_Latn", "fra_Latn"),
        ("m2m_100_short", "__de__", "__fr__"),
    ],
)
def test_seq2seq_spans(family, german, french):
    base = tiny.load(family)
    row = base.format.encode(DIRECTION, ["der Hund\n"], ["le chien"])[0]
    tokens = base.tokenizer.convert_ids_to_tokens
    assert tokens(row.source[0]) == german
    assert base.tokenizer.decode(list(row.source[1:-1])) == "der Hund"
    assert row.source[-1] == row.answer[-1] == base.tokenizer.eos_token_id
    # the canary: the decoder is told the target language, and after its start token
    assert row.target[0] == base.model.config.decoder_start_token_id
    assert tokens(row.target[1]) == french
    assert base.format.decode(row.target + row.answer) == base.format.decode(row.answer) == "le chien"
    assert base.format.decode((*row.target, base.format.end)) == ""


@pytest.mark.parametrize("legacy", [False, True])
def test_the_language_token_stands_first_whatever_the_tokenizer_does(legacy):
    tokenizer = tiny.nllb_tokenizer()
    tokenizer.legacy_behaviour = legacy
    tokenizer.src_lang = "spa_Latn"
    assert (tokenizer("x")["input_ids"][-1] == tokenizer.eos_token_id) is not legacy
    expected = tiny.load("m2m_100").format.encode(DIRECTION, ["der Hund"], ["le chien"])
    assert Seq2SeqFormat(tokenizer, tokenizer.eos_token_id).encode(DIRECTION, ["der Hund"], ["le chien"]) == expected


@pytest.mark.parametrize("direction", [Direction("fur_Latn", "fra_Latn"), Direction("fra_Latn", "ita_Cyrl")])
def test_a_language_without_a_token_is_refused_with_its_neighbours(direction):
    format = tiny.load("m2m_100").format
    missing = next(code for code in direction if not format.knows(code))
    with pytest.raises(LanguageError, match=f"`{missing}`.*--like") as caught:
        format.encode(direction, ["x"])
    assert ("ita_Latn" if missing == "ita_Cyrl" else "_Latn") in str(caught.value)


def test_the_seq2seq_format_is_rebuilt_from_its_spec():
    base = tiny.load("m2m_100")
    assert make_format(base.format.spec(), base.tokenizer, base.model.config, base.family).hash == base.format.hash


# the context


@pytest.mark.parametrize("family", ["llama", "m2m_100"])
def test_a_row_fits_where_the_model_can_read_it(family):
    base = tiny.load(family)
    joined = base.family.kind == "decoder"

    def room(source: int, answer: int) -> int:
        return base.room(Encoded((1,) * source, (2, 2), (3,) * answer))

    context = base.context
    assert room(1, 0) == context - 2 - joined
    half = context // 2
    assert (room(half, half) >= 0) is not joined  # the encoder reads the one, the decoder the other
    assert room(half, context - 2 - (half if joined else 0)) == 0
    assert room(half, context - 1 - (half if joined else 0)) == -1
    assert room(context + 1, 0) < 0
