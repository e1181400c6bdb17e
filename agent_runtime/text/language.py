"""Language codes, however a service writes them."""

import re

_NAMES = (
    "af afr afrikaans; am amh amharic; ar ara arb arabic; as asm assamese; az aze azerbaijani; be bel belarusian; "
    "bg bul bulgarian; bn ben bengali bangla; bo bod tib tibetan; br bre breton; bs bos bosnian; "
    "ca cat catalan valencian; cs ces cze czech; cy cym wel welsh; da dan danish; de deu ger german deutsch; "
    "el ell gre greek; en eng english; eo epo esperanto; es spa spanish español castilian; et est estonian; "
    "eu eus baq basque; fa fas per persian farsi; fi fin finnish suomi; fo fao faroese; fr fra fre french français; "
    "ga gle irish; gl glg galician; gu guj gujarati; ha hau hausa; haw hawaiian; he heb iw hebrew; hi hin hindi; "
    "hr hrv croatian; ht hat haitian; hu hun hungarian magyar; hy hye arm armenian; id ind in indonesian; "
    "is isl ice icelandic; it ita italian italiano; ja jpn japanese 日本語; jv jav jw javanese; ka kat geo georgian; "
    "kk kaz kazakh; km khm khmer; kn kan kannada; ko kor korean 한국어; ku kur kurdish; ky kir kyrgyz; la lat latin; "
    "lb ltz luxembourgish; ln lin lingala; lo lao; lt lit lithuanian; lv lav latvian; mg mlg malagasy; "
    "mi mri mao maori; mk mkd mac macedonian; ml mal malayalam; mn mon mongolian; mr mar marathi; "
    "ms msa may zsm malay; mt mlt maltese; my mya bur burmese myanmar; nb nob bokmål; ne nep nepali; "
    "nl nld dut dutch nederlands flemish; nn nno nynorsk; no nor norwegian; oc oci occitan; or ori odia oriya; "
    "pa pan punjabi panjabi; pl pol polish polski; ps pus pashto; pt por portuguese português; "
    "ro ron rum romanian moldavian mo; ru rus russian русский; sa san sanskrit; sd snd sindhi; "
    "si sin sinhala sinhalese; sk slk slo slovak; sl slv slovenian slovene; sn sna shona; so som somali; "
    "sq sqi alb albanian; sr srp serbian; su sun sundanese; sv swe swedish svenska; sw swa swahili; ta tam tamil; "
    "te tel telugu; tg tgk tajik; th tha thai; tk tuk turkmen; tl tgl fil tagalog filipino; tr tur turkish türkçe; "
    "tt tat tatar; uk ukr ukrainian; ur urd urdu; uz uzb uzbek; vi vie vietnamese; xh xho xhosa; yi yid ji yiddish; "
    "yo yor yoruba; yue cantonese; zh zho chi cmn chinese mandarin 中文; zu zul zulu"
)
"""The primary tag, then what else is said for it: ISO 639-2 and 639-3, withdrawn codes, names."""

_BARE = (
    "aa ab ae ak an av ay ba bi bm ce ch co cr cu cv dv dz ee ff fj fy gd gn gv ho hz ia ie ig ii ik io iu kg ki kj kl kr "
    "ks kv kw lg li lu mh na nd ng nr nv ny oj om os pi qu rm rn rw sc se sg sm ss st ti tn to ts tw ty ug ve vo wa wo za"
)
"""The rest of ISO 639-1."""


_TAGS = {tag: tag for tag in _BARE.split()} | {
    name: entry.split()[0] for entry in _NAMES.split(";") for name in entry.split()
}


def normalize_language(code: str | None) -> str | None:
    """The primary language tag of BCP 47: ``en`` for ``en-US``, ``en_us``, ``eng``, ``English`` and ``en_US.UTF-8``.

    None where no one language is meant (None, ``""``, ``multi``, ``auto``) and for what is not known. Never raises.
    """
    if not isinstance(code, str):
        return None
    first = re.match(r"\w+", code.strip().replace("_", "-"))
    return _TAGS.get(first[0].casefold()) if first else None
