import pytest

from agent_runtime.text.language import normalize_language


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("en", "en"),
        ("en_US", "en"),
        ("en-us", "en"),
        ("EN", "en"),
        (" en ", "en"),
        ("english", "en"),
        ("English (US)", "en"),
        ("en_US.UTF-8", "en"),
        ("eng", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("zh-Hans-CN", "zh"),
        ("cmn", "zh"),
        ("yue", "yue"),
        ("pt-BR", "pt"),
        ("iw", "he"),
        ("Español", "es"),
        ("中文", "zh"),
        ("haw", "haw"),
        ("multi", None),
        ("auto", None),
        ("", None),
        ("--", None),
        ("C", None),
        ("klingon", None),
        ("xx", None),
        (None, None),
        (5, None),
    ],
)
def test_normalize_language(code: str | None, tag: str | None) -> None:
    assert normalize_language(code) == tag
