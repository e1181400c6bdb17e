"""faster-whisper with a model of random numbers that the test makes: it loads, listens and says something."""

from pathlib import Path

import pytest

from agent_runtime import virtual
from agent_runtime.errors import ProviderError, UsageError
from agent_runtime.providers.local.whisper import FILES, WhisperSTT, check_model
from agent_runtime.stt import SpeechEvent, SpeechEventType, STTContext
from tests.providers.local.spoken import frames, transcribe
from tests.providers.local.tiny_models import make_whisper


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("faster_whisper", reason="pip install 'agent-runtime[whisper]'")
    make_whisper(tmp_path / "whisper-tiny")
    return tmp_path / "whisper-tiny"


def recognise(model: Path, *spans: bytes) -> list[SpeechEvent]:
    async def main() -> list[SpeechEvent]:
        stt = WhisperSTT(str(model))
        try:
            return await transcribe(stt.stream(context=STTContext(keyterms=["w1"])), frames(*spans))
        finally:
            await stt.aclose()

    return virtual.run(main())


def test_each_span_is_read_once_when_it_is_over(model: Path) -> None:
    events = recognise(model, bytes(16_000), bytes(16_000))
    assert [event.type for event in events] == 2 * [
        SpeechEventType.START_OF_SPEECH,
        SpeechEventType.FINAL_TRANSCRIPT,
        SpeechEventType.END_OF_SPEECH,
    ]
    for event in events:
        for data in event.alternatives:
            assert data.confidence is not None
            assert (data.text == "") == (data.confidence == 0.0)


def test_a_file_that_is_no_model_fails_and_names_the_folder(model: Path) -> None:
    (model / "model.bin").write_bytes(b"no model")
    with pytest.raises(ProviderError, match="whisper-tiny"):
        recognise(model)


@pytest.mark.parametrize("missing", FILES)
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    for name in FILES:
        if name != missing:
            (tmp_path / name).touch()
    with pytest.raises(UsageError, match=missing) as caught:
        check_model("local/whisper", str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there_is_no_name_on_the_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        check_model("local/whisper", str(tmp_path / "large-v3"))
