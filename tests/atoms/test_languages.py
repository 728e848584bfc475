"""Languages: every usual form means one internal code, and what is ambiguous or unknown is refused with a way out."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingraft.atoms import LanguageError
from lingraft.atoms.languages import find, in_form_of, iso639, name, parse

NLLB = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn als_Latn amh_Ethi apc_Arab arb_Arab
ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn
bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn
ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn
epo_Latn est_Latn eus_Latn ewe_Latn fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn
gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn
hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda
kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn
kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn
ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl
mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn nya_Latn
oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn prs_Arab quy_Latn
ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn
sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn
tam_Taml taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn
tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn
war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
""".split()  # noqa: SIM905
"""The codes of NLLB-200."""

SECOND_SCRIPT = {"ace_Arab", "bjn_Arab", "kas_Deva", "knc_Arab", "sat_Beng", "taq_Tfng", "zho_Hant"}
"""Codes whose language is usually written otherwise."""

MADE_AND_SMALL = [
    "epo_Latn",
    "ina_Latn",
    "ido_Latn",
    "fur_Latn",
    "scn_Latn",
    "vec_Latn",
    "lmo_Latn",
    "mic_Latn",
    "deu_Cyrl",
]

FORMS = {
    "deu_Latn": "de DE deu ger deu_Latn DEU_LATN deu-Latn de-DE de_DE de-1996 German german Deutsch allemand",
    "eng_Latn": "en EN en_XX EN-GB en-US English Anglais 英语",
    "epo_Latn": "eo epo Esperanto esperanto",
    "grc_Grek": "grc grc_Grek",
    "ina_Latn": "ia ina Interlingua",
    "ido_Latn": "io ido Ido",
    "fur_Latn": "fur Friulian furlan",
    "por_Latn": "pt PT-BR pt-PT Portuguese português",
    "spa_Latn": "es ES-419 es_XX Spanish español",
    "zho_Hans": "zh zho chi cmn zh-CN zh_CN zh-Hans ZH-HANS zh-SG",
    "zho_Hant": "zh-Hant ZH-HANT zh-TW zh-HK zho-Hant",
    "yue_Hant": "yue zh-yue Cantonese",
    "srp_Cyrl": "sr srp sr-RS sr-Cyrl Serbian српски",
    "srp_Latn": "sr-Latn sr_Latn sr-ME",
    "nob_Latn": "no nb NB nob nor Bokmål",
    "nno_Latn": "nn nno",
    "arb_Arab": "ar ara arb ar-EG ar_AR Arabic",
    "pes_Arab": "fa fas per fa_IR Persian Farsi",
    "prs_Arab": "prs fa-AF Dari",
    "lvs_Latn": "lv lav lvs Latvian",
    "est_Latn": "et est ekk et_EE Estonian",
    "swh_Latn": "sw swa swh Swahili Kiswahili",
    "zsm_Latn": "ms msa may zsm Malay",
    "khk_Cyrl": "mn mon khk mn_MN Mongolian",
    "uzn_Latn": "uz uzb uzn Uzbek",
    "uzn_Cyrl": "uz-Cyrl",
    "azj_Latn": "az aze azj az_AZ Azerbaijani",
    "azb_Arab": "azb az-Arab az-IR",
    "ydd_Hebr": "yi yid ydd ji Yiddish",
    "npi_Deva": "ne nep ne_NP Nepali",
    "ory_Orya": "or ori Odia",
    "pbt_Arab": "ps pus ps_AF Pashto",
    "kmr_Latn": "ku kur kmr Kurmanji",
    "ckb_Arab": "ckb ku-Arab ku-IQ Sorani",
    "quy_Latn": "qu que quy",
    "plt_Latn": "mg mlg plt Malagasy",
    "als_Latn": "sq sqi alb als Albanian",
    "ayr_Latn": "ay aym",
    "grn_Latn": "gn grn",
    "gaz_Latn": "om orm gaz",
    "twi_Latn": "tw twi",
    "aka_Latn": "ak aka",
    "tgl_Latn": "tl tgl tl_XX fil Tagalog Filipino",
    "heb_Hebr": "he iw he_IL Hebrew",
    "ind_Latn": "id in id_ID Indonesian",
    "jav_Latn": "jv jw",
    "nso_Latn": "ns nso",
    "kor_Hang": "ko ko_KR Korean 한국어",
    "jpn_Jpan": "ja ja_XX Japanese 日本語",
    "pan_Guru": "pa Punjabi",
    "pnb_Arab": "pa-Arab pa-PK",
}
NAMES_OF_SEVERAL_WORDS = {
    "Chinese (Simplified)": "zho_Hans",
    "Traditional Chinese": "zho_Hant",
    "Brazilian Portuguese": "por_Latn",
    "Portuguese (Brazil)": "por_Latn",
    "Serbian (Latin)": "srp_Latn",
    "Acehnese (Arabic script)": "ace_Arab",
    "Modern Standard Arabic": "arb_Arab",
    "Norwegian Bokmål": "nob_Latn",
    "  German language ": "deu_Latn",
}


@pytest.mark.parametrize("code", [*NLLB, *MADE_AND_SMALL])
def test_a_full_code_is_itself_and_its_name_leads_back(code):
    assert parse(code) == code
    assert parse(name(code)) == code


@pytest.mark.parametrize("code", sorted(set(NLLB) - SECOND_SCRIPT))
def test_a_bare_code_gets_the_script_of_nllb(code):
    assert parse(code.split("_")[0]) == code
    assert parse(iso639(code)) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [(text, code) for code, texts in FORMS.items() for text in texts.split()] + list(NAMES_OF_SEVERAL_WORDS.items()),
)
def test_usual_forms(text, code):
    assert parse(text) == find(text) == code


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("Norwegian", ["nob_Latn", "nno_Latn"]),
        ("norsk", ["nob_Latn", "nno_Latn"]),
        ("Chinese", ["zho_Hans", "zho_Hant"]),
        ("Mandarin", ["zho_Hans", "zho_Hant"]),
        ("Kurdish", ["kmr_Latn", "ckb_Arab"]),
        ("sh", ["srp_Cyrl", "hrv_Latn", "bos_Latn"]),
        ("Serbo-Croatian", ["srp_Cyrl", "hrv_Latn", "bos_Latn"]),
        ("Sami", ["sme_Latn"]),
        ("Mon", ["mnw_Mymr", "khk_Cyrl"]),
    ],
)
def test_the_ambiguous_is_refused_with_candidates_that_can_be_written(text, candidates):
    with pytest.raises(LanguageError, match="may mean") as error:
        parse(text)
    assert find(text) is None
    for code in candidates:
        assert code in str(error.value)
        assert parse(code) == code


@pytest.mark.parametrize(
    ("text", "neighbour"),
    [
        ("Germna", "deu_Latn"),
        ("Esperento", "epo_Latn"),
        ("Italain", "ita_Latn"),
        ("dxu_Latn", "deu_Latn"),
        ("deu_Ltan", "deu_Latn"),
        ("Germanish", "deu_Latn"),
    ],
)
def test_the_misspelt_is_refused_with_neighbours(text, neighbour):
    with pytest.raises(LanguageError, match="Did you mean") as error:
        parse(text)
    assert neighbour in str(error.value)


@pytest.mark.parametrize("text", ["", " ", "zz", "x", "und", "mul", "de-", "../etc", "deu_Latn\n_x", "a" * 500, "{a}"])
def test_the_unknown_is_refused_in_a_short_message(text):
    assert find(text) is None
    with pytest.raises(LanguageError) as error:
        parse(text)
    assert len(str(error.value)) < 300


def test_a_language_without_a_usual_script_says_what_to_write():
    with pytest.raises(LanguageError, match="Write the full code, e.g. mbp_Latn"):
        parse("mbp")
    assert parse("mbp_Latn") == "mbp_Latn"


@given(st.text(max_size=12) | st.sampled_from([text for texts in FORMS.values() for text in texts.split()]))
def test_parsing_twice_is_parsing_once(text):
    code = find(text)
    assert code is None or parse(code) == code


@given(
    st.sampled_from(NLLB),
    st.sampled_from(["de", "DE", "EN-GB", "deu", "German", "zh-Hant", "fra_Latn", "fur", "nonsense"]),
)
def test_an_answer_in_the_callers_form_means_the_same(code, like):
    assert parse(in_form_of(code, like)) == code


@pytest.mark.parametrize(
    ("code", "like", "answer"),
    [
        ("deu_Latn", "fr", "de"),
        ("deu_Latn", "fra", "deu"),
        ("deu_Latn", "FR", "DE"),
        ("por_Latn", "EN-GB", "PT"),
        ("nob_Latn", "EN", "NB"),
        ("deu_Latn", "fra_Latn", "deu_Latn"),
        ("deu_Latn", "French", "German"),
        ("zho_Hans", "de", "zh"),
        ("zho_Hant", "de", "zh-Hant"),
        ("zho_Hant", "EN-GB", "ZH-HANT"),
        ("srp_Latn", "de-DE", "sr-Latn"),
        ("fur_Latn", "de", "fur"),
        ("deu_Latn", "fur", "de"),
        ("arb_Arab", "de", "ar"),
        ("cmn_Hans", "de", "cmn_Hans"),
    ],
)
def test_answers_in_the_callers_form(code, like, answer):
    assert in_form_of(code, like) == answer


@pytest.mark.parametrize(
    ("code", "english", "short"),
    [
        ("deu_Latn", "German", "de"),
        ("zho_Hans", "Chinese (Simplified)", "zh"),
        ("srp_Cyrl", "Serbian (Cyrillic)", "sr"),
        ("deu_Cyrl", "German (Cyrillic)", "de"),
        ("arb_Arab", "Arabic", "ar"),
        ("kmr_Latn", "Northern Kurdish", "ku"),
        ("nob_Latn", "Norwegian Bokmål", "nb"),
        ("fur_Latn", "Friulian", "fur"),
        ("heb_Hebr", "Hebrew", "he"),
        ("est_Latn", "Estonian", "et"),
        ("qaa_Latn", "qaa", "qaa"),
    ],
)
def test_english_names_and_iso_codes(code, english, short):
    assert name(code).startswith(english)
    assert iso639(code) == short


def test_importing_the_words_loads_no_language_data():
    lines = "import sys, lingraft.atoms.languages; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    code = lines.replace("{heavy}", "('langcodes', 'language_data', 'pydantic', 'torch')")
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
