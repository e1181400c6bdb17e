"""The tables of what services transcribe and speak, what a user may lay over them, and the page that lists them."""

import re
from pathlib import Path

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.inference.routes import ways
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.services import ServiceRow

PAGE = Path(__file__).parents[3] / "docs" / "speech-services.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "services.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_change_what_holds_for_some_models() -> None:
    stt = services.load()["openai"].stt
    assert stt is not None
    assert (stt.of("whisper-1").response_format, stt.of("whisper-1").streams) == ("verbose_json", False)
    assert stt.of("openai/whisper-1") == stt.of("whisper-1")
    assert stt.of("gpt-4o-transcribe").fields == {"include[]": "logprobs"}
    assert stt.of("gpt-4o-transcribe-diarize").fields == {}
    assert stt.of("a/model/of/next-year") == stt.default


def test_a_new_service_needs_no_code(tmp_path: Path) -> None:
    text = next(block for block in re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    row = services.load(written(tmp_path, text))["house"]
    assert row.stt is not None
    assert row.tts is not None
    assert row.stt.of("x").response_format == "verbose_json"
    assert row.tts.of("x").formats == ("wav",)
    assert row.tts.of("x").sample_rate == 24_000


def test_a_key_of_a_table_is_changed_and_the_others_stay(tmp_path: Path) -> None:
    changed = services.load(written(tmp_path, '[groq.tts]\ndefault_voice = "hannah"\n'))["groq"]
    before = services.load()["groq"]
    assert changed.tts is not None
    assert before.tts is not None
    assert changed.tts.default.default_voice == "hannah"
    assert changed.tts.default.default_model == before.tts.default.default_model
    assert changed.stt == before.stt


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[groq.tts]\nvoice = 'x'\n", r"unknown key 'voice' in \[groq.tts\]"),
        ("[groq.tts]\ndefault_voices = 'x'\n", "Did you mean 'default_voice'"),
        ("[groq.stt]\nstreams = 'yes'\n", r"says 'streams = 'yes'' in \[groq.stt\]; it is true or false"),
        ("[groq.tts]\nlongest = true\n", "it is a whole number"),
        ("[groq.tts]\nformats = 'wav'\n", "it is a list"),
        ("[groq.tts]\nnames = 'wav'\n", "it is a table"),
        ("[[groq.tts.rules]]\nevents = true\n", r"a rule in \[groq.tts\] without models"),
        ("[[groq.tts.rules]]\nmodels = ['a']\nevent = true\n", "Did you mean 'events'"),
        ("[groq]\ntts = true\n", r"write a table \[groq.tts\]"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        services.load(written(tmp_path, text))


def test_the_page_lists_the_services_as_they_are() -> None:
    table = re.findall(r"^\| `\w+` (?:\|[^|\n]*){4}\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table]
    listed = {name: cells for name, *cells in rows}
    speaking = {name: row for name, row in services.load().items() if row.stt is not None or row.tts is not None}
    assert listed == {name: _cells(row) for name, row in speaking.items()}


def test_every_service_of_the_table_is_a_string_too() -> None:
    for provider, row in services.load().items():
        for kind in ("stt", "tts"):
            assert bool(ways(kind, provider, "model", {})) is (getattr(row, kind) is not None), (provider, kind)


def _cells(row: ServiceRow) -> list[str]:
    cells = ["", "", "", ""]
    if row.stt is not None:
        model = row.stt.default.default_model
        cells[:2] = [model or "name one", "yes" if row.stt.of(model).streams else "no"]
    if row.tts is not None:
        speaks = row.tts.of(row.tts.default.default_model)
        named = f"{speaks.default_model}:{speaks.default_voice}" if speaks.default_model else "name one"
        cells[2:] = [named, speaks.response_format + (", in events" if speaks.events else "")]
    return cells
