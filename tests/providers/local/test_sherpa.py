"""sherpa-onnx with a model that the test makes: it says "hello" for each 300 ms of loud sound."""

import random
from pathlib import Path

import pytest

from agent_runtime import virtual
from agent_runtime.errors import ProviderError, UsageError
from agent_runtime.providers.local.sherpa import SherpaSTT, find_model
from agent_runtime.stt import SpeechEvent, SpeechEventType
from tests.providers.local.spoken import finals, frames, transcribe
from tests.providers.local.tiny_models import make_sherpa

LOUD = b"".join(random.Random(3).randint(-8000, 8000).to_bytes(2, "little", signed=True) for _ in range(16_000))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("sherpa_onnx", reason="pip install 'agent-runtime[sherpa]'")
    pytest.importorskip("onnx", reason="the test makes a model: pip install onnx")
    make_sherpa(tmp_path / "t-one-tiny")
    return tmp_path / "t-one-tiny"


def recognise(model: Path, *spans: bytes) -> list[SpeechEvent]:
    async def main() -> list[SpeechEvent]:
        stt = SherpaSTT(str(model))
        try:
            return await transcribe(stt.stream(), frames(*spans))
        finally:
            await stt.aclose()

    return virtual.run(main())


def test_it_streams(model: Path) -> None:
    events = recognise(model, LOUD, LOUD[: len(LOUD) // 2])
    one, other = finals(events)
    assert set(one.split()) == {"hello"}
    assert 3 <= one.count("hello") <= 4
    assert 1 <= other.count("hello") <= 2
    kinds = [event.type for event in events]
    assert SpeechEventType.INTERIM_TRANSCRIPT in kinds[: kinds.index(SpeechEventType.FINAL_TRANSCRIPT)]


def test_silence_is_an_empty_transcript(model: Path) -> None:
    assert finals(recognise(model, bytes(16_000))) == [""]


def test_a_file_that_is_no_model_fails_and_names_the_folder(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ProviderError, match="t-one-tiny"):
        recognise(model)


def test_the_folder_says_which_kind_of_model_it_holds(tmp_path: Path) -> None:
    for name in ("tokens.txt", "encoder-epoch-9.int8.onnx", "encoder-epoch-9.onnx", "decoder-epoch-9.onnx"):
        (tmp_path / name).touch()
    constructor, files = find_model("local/sherpa", str(tmp_path))
    assert constructor == "from_paraformer"
    assert Path(files["encoder"]).name == "encoder-epoch-9.int8.onnx"
    (tmp_path / "joiner-epoch-9.onnx").touch()
    assert find_model("local/sherpa", str(tmp_path))[0] == "from_transducer"


@pytest.mark.parametrize(
    ("folder", "constructor"),
    [("nemo-80ms", "from_nemo_ctc"), ("t-one-ru", "from_t_one_ctc"), ("zipformer-small", "from_zipformer2_ctc")],
)
def test_a_single_file_is_of_the_kind_that_the_folder_is_named_after(
    tmp_path: Path, folder: str, constructor: str
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "tokens.txt").touch()
    (tmp_path / folder / "model.onnx").touch()
    assert find_model("local/sherpa", str(tmp_path / folder))[0] == constructor


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "does not exist"),
        ([], "no tokens.txt"),
        (["tokens.txt"], "no model .onnx file"),
        (["tokens.txt", "encoder.onnx"], "no decoder .onnx file"),
        (["tokens.txt", "joiner.onnx"], "no encoder .onnx file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, files: list[str] | None, message: str) -> None:
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        for name in files:
            (folder / name).touch()
    with pytest.raises(UsageError, match=message) as caught:
        find_model("local/sherpa", str(folder))
    assert str(folder) in str(caught.value)
