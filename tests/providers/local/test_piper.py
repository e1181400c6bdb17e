import json
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

from agent_runtime import virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import ProviderError, UsageError
from agent_runtime.providers.local.piper import PiperTTS

T = TypeVar("T")

needs_piper = pytest.mark.skipif(
    find_spec("piper") is None or find_spec("onnx") is None,
    reason="pip install 'agent-runtime[piper]' onnx, which makes the tiny voice",
)

TONE_SAMPLES = 1024


def talk(tts: PiperTTS, conversation: Callable[[PiperTTS], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            return await conversation(tts)
        finally:
            await tts.aclose()

    return virtual.run(main())


async def frames_of(tts: PiperTTS, text: str) -> list[AudioFrame]:
    return [frame async for frame in tts.synthesize(text)]


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """A voice that says 1024 samples of a tone for every phoneme id, in 5 KB."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    tone = (0.5 * np.sin(2 * np.pi * 220 * np.arange(TONE_SAMPLES) / 22_050)).astype(np.float32)
    constants = {
        "none": np.float32(0),
        "one": np.float32(1),
        "axis": np.array([2]),
        "tone": tone.reshape(1, 1, -1),
        "flat": np.array([1, 1, -1]),
    }
    nodes = [
        helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "one"], ["ones"]),
        helper.make_node("Unsqueeze", ["ones", "axis"], ["column"]),
        helper.make_node("Mul", ["column", "tone"], ["tones"]),
        helper.make_node("Reshape", ["tones", "flat"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "voice",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "ids"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path / "voice.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    ids = {"_": [0], "^": [1], "$": [2], **{letter: [3 + n] for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz ")}}
    description = {
        "audio": {"sample_rate": 22_050},
        "espeak": {"voice": "en-us"},
        "num_symbols": len(ids),
        "num_speakers": 1,
        "phoneme_id_map": ids,
    }
    path.with_name("voice.onnx.json").write_text(json.dumps(description))
    return path


@needs_piper
def test_a_voice_speaks_sentence_by_sentence(voice: Path) -> None:
    tts = PiperTTS(model=voice)
    frames = talk(tts, lambda tts: frames_of(tts, "Hello there. How are you?"))
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(22_050, 1)}
    samples = [frame.samples_per_channel for frame in frames]
    assert max(samples) == 2205
    assert sum(samples) % TONE_SAMPLES == 0
    assert sum(size < 2205 for size in samples) == 2  # each sentence ends with a short frame
    assert tts.watch.spans == len(frames) + 1


@needs_piper
def test_nothing_to_say_and_letters_it_does_not_know(voice: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def conversation(tts: PiperTTS) -> None:
        assert await frames_of(tts, " ") == []
        for text in "Привет", "\U0001f642", "x [[y]] \ud800", "a " * 3000:
            assert await frames_of(tts, text)

    talk(PiperTTS(model=voice), conversation)
    assert capfd.readouterr() == ("", "")


@needs_piper
def test_a_cut_phrase_is_forgotten(voice: Path) -> None:
    async def conversation(tts: PiperTTS) -> None:
        alone = [frame.data for frame in await frames_of(tts, "Hi.")]
        phrase = tts.synthesize("Hello there. " * 20)
        await anext(phrase)
        await phrase.aclose()
        assert [frame.data for frame in await frames_of(tts, "Hi.")] == alone
        assert len(tts._engines) == 1

    talk(PiperTTS(model=voice), conversation)


@needs_piper
def test_a_file_that_is_no_model_is_named(voice: Path) -> None:
    voice.write_bytes(b"no model")

    async def conversation(tts: PiperTTS) -> None:
        with pytest.raises(ProviderError, match=r"local/piper.*voice\.onnx"):
            await frames_of(tts, "hello")

    talk(PiperTTS(model=voice), conversation)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.onnx'"):
        PiperTTS(model=tmp_path / "nowhere.onnx")
    (tmp_path / "half.onnx").touch()
    with pytest.raises(UsageError, match=r"half\.onnx\.json'"):
        PiperTTS(model=tmp_path / "half.onnx")


@pytest.mark.parametrize("text", ["", "[]", '{"audio": {}}', '{"audio": {"sample_rate": 0}}'])
def test_a_description_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    model = tmp_path / "v.onnx"
    model.touch()
    Path(f"{model}.json").write_text(text)
    with pytest.raises(UsageError, match=r"v\.onnx\.json.*audio\.sample_rate"):
        PiperTTS(model=model)


@pytest.mark.skipif(find_spec("piper") is not None, reason="piper is installed")
def test_without_the_package_the_error_names_the_extra(tmp_path: Path) -> None:
    model = tmp_path / "v.onnx"
    model.touch()
    Path(f"{model}.json").write_text('{"audio": {"sample_rate": 22050}}')
    tts = PiperTTS(model=model)
    assert tts.label == f"local/piper?model={model}"
    assert not tts.describe().installed
    with pytest.raises(UsageError, match=r"pip install 'agent-runtime\[piper\]'"):
        talk(tts, lambda tts: frames_of(tts, "hello"))
