import pytest

from agent_runtime.errors import UsageError
from agent_runtime.text.phrases import PhraseSplitter
from agent_runtime.text.transforms import MarkdownFilter, compose, filter_emoji, filter_markdown, replace


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("**Hello**, *you* and _me_ and __us__, ~~not~~ ***them***.", "Hello, you and me and us, not them."),
        ('**Note:** do (*this*) "*now*".', 'Note: do (this) "now".'),
        ("这是**重要**的", "这是重要的"),
        ("un**believ**able", "unbelievable"),
        ("# Title ##\ntext", "Title\ntext"),
        ("- one\n* two\n+ three\n1. four\n  - [x] five", "one\ntwo\nthree\n1. four\nfive"),
        ("> quoted\n> > twice", "quoted\ntwice"),
        ("one\n---\n* * *\ntwo", "one\n\n\ntwo"),
        ("[the docs](https://x.y/a_(b)) and ![a cat](c.png) and [it][1]", "the docs and a cat and it"),
        ("[**bold**](/x)", "bold"),
        ("<https://a.bc/d> <me@x.org>", "https://a.bc/d me@x.org"),
        ("`x_y * z` and ``a`b`` and a ` tick", "x_y * z and ab and a  tick"),
        ("| a | **b** |\n|---|:-:|\n| 1 | 2 |", "a, b \n\n1, 2 "),
        ("<b>bold</b> one<br>two <!-- no --> &amp; <span class='x'>three</span>", "bold one two  & three"),
        ("```python\nx = a*b*c  # y\n```\n*done*", "\nx = a*b*c  # y\n\ndone"),
        (r"\*not\* \# it", "*not* # it"),
        ("[1]: https://x.y\nok", "\nok"),
    ],
)
def test_markdown_goes(text: str, spoken: str) -> None:
    assert filter_markdown(text) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "a * b = c",
        "2*3 and 4*5",
        "2**3**4",
        "snake_case and another_one",
        "5 > 3 and 3 < 5",
        "C# and C++ and F#",
        "#1 of all",
        "A* search, then B* search",
        "a 5* hotel",
        "AT&T",
        "it's 3-4 - no",
        "[sic] (really)",
        'wait <break time="1s"/> for it',
        "____ is blank",
        "2024. That was it.",
    ],
)
def test_what_only_looks_like_markdown_stays(text: str) -> None:
    assert filter_markdown(text) == text


def test_markdown_is_followed_from_phrase_to_phrase() -> None:
    text = (
        "**Hello, my friend.** A* is good. [See this](https://x.y) ok.\n"
        "```py\nx*y* and. more\n```\nThat *is so. And it* is. Bye."
    )
    splitter = PhraseSplitter(compose(["filter_markdown"])())
    spoken = [phrase.spoken for phrase in splitter.push(text) + splitter.flush()]
    assert spoken == [
        "Hello, my friend.",
        "A* is good.",
        "See this ok.",
        "x*y* and.",
        "more",
        "That is so.",
        "And it is.",
        "Bye.",
    ]


def test_emphasis_ends_with_its_paragraph() -> None:
    markdown = MarkdownFilter()
    assert [markdown(phrase) for phrase in ("**a\n", "b** c\n", "*x\n", "\n", "y* z")] == [
        "a\n",
        "b c\n",
        "x\n",
        "\n",
        "y* z",
    ]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hi \U0001f600 there", "Hi there"),
        ("Great \U0001f389! Ok", "Great! Ok"),
        ("a\U0001f600b", "a b"),
        ("\U0001f600 Hi", "Hi"),
        ("fam \U0001f468\u200d\U0001f469\u200d\U0001f467 ok", "fam ok"),
        ("thumb \U0001f44d\U0001f3fd ok", "thumb ok"),
        ("run \U0001f3c3\u200d\u27a1\ufe0f ok", "run ok"),
        ("de \U0001f1e9\U0001f1ea ok", "de ok"),
        ("en \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ok", "en ok"),
        ("press 1\ufe0f\u20e3 or #\u20e3", "press 1 or #"),
        ("sun \u2600\ufe0f, heart \u2764", "sun, heart "),
        ("\u00a9\ufe0f \u27a1\ufe0f", ""),
    ],
)
def test_emoji_go(text: str, spoken: str) -> None:
    assert filter_emoji(text) == spoken


@pytest.mark.parametrize(
    "text", ["0123 #*", "\u00a9 \u00ae \u2122", "a \u2192 b", "C\u266f B\u266d", "नमस्ते क्\u200dष", "½ € °"]
)
def test_what_is_no_emoji_stays(text: str) -> None:
    assert filter_emoji(text) == text


def test_replace_takes_whole_words_and_the_longest() -> None:
    say = replace({"API": "A P I", "New York": "N Y", "York": "Yoak", "C++": "see plus plus", "A": "x"})
    assert say("The API capital, api, new york, York, C++.") == "The A P I capital, A P I, N Y, Yoak, see plus plus."
    assert replace({"API": "A P I"}, case_sensitive=True)("API api") == "A P I api"
    assert replace({})("as it is") == "as it is"


def test_compose_runs_in_order_and_strips() -> None:
    speak = compose(["filter_markdown", "filter_emoji", replace({"SQL": "sequel"}), str.lower])()
    assert speak(" **SQL** \U0001f600 Rocks \n") == "sequel rocks"


@pytest.mark.parametrize("raw", ["\U0001f389 ", "---\n", "...", " ", "**", "|---|---|\n", "```\n"])
def test_nothing_to_say(raw: str) -> None:
    assert compose()()(raw) == ""


def test_each_utterance_starts_afresh() -> None:
    start = compose()
    assert start()("```\n") == ""
    assert start()("*so*") == "so"


def test_a_transform_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"Unknown text transform 'filter_markdwn'\. Did you mean 'filter_markdown'\?"):
        compose(["filter_markdwn"])
    with pytest.raises(UsageError, match=r"Use 'filter_markdown', 'filter_emoji' or a function\."):
        compose([5])  # type: ignore[list-item]

    def forgets(text: str) -> str:
        return None  # type: ignore[return-value]

    with pytest.raises(UsageError, match="forgets returned NoneType"):
        compose([forgets])()("Hello")


@pytest.mark.parametrize(
    "unit",
    [
        "*",
        "`",
        "[",
        "[a",
        "<b ",
        "**a ",
        "_a_ ",
        "\U0001f600 ",
        "\\",
        "](/",
        "![]((",
        "`` ` ",
        "<!--",
        "- - ",
        "|-",
        "a**b",
        "> ",
        "<a@",
    ],
)
def test_hostile_text_is_no_trap(unit: str) -> None:
    """Would take minutes where an expression backtracks."""
    text = unit * (100_000 // len(unit))
    filter_markdown(text)
    filter_emoji(text)
