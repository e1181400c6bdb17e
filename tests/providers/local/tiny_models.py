"""Models small enough to make in a test: the real libraries load them and find what little there is to find."""

import functools
import json
from pathlib import Path
from typing import Any

HELLO_FRAME_S = 0.3


def make_sherpa(folder: Path) -> None:
    """A T-one model of 700 bytes that says "hello" for each 300 ms of loud sound."""
    import onnx
    from onnx import TensorProto, helper

    steps, blank, hello, vocabulary = 10, 0, 1, 3
    by_loudness, always = [[0.0] * vocabulary for _ in range(steps)], [[0.0] * vocabulary for _ in range(steps)]
    by_loudness[0][hello], by_loudness[0][blank] = 5.0, -5.0
    for step in range(1, steps):
        always[step][blank] = 20.0

    def constant(name: str, rows: list[list[float]]) -> Any:
        values = [value for row in rows for value in row]
        return helper.make_tensor(name, TensorProto.FLOAT, [1, steps, vocabulary], values)

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["signal"], ["samples"], to=TensorProto.FLOAT),
            helper.make_node("Abs", ["samples"], ["sizes"]),
            helper.make_node("ReduceMean", ["sizes"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Sub", ["mean", "threshold"], ["above"]),
            helper.make_node("Sign", ["above"], ["loud"]),
            helper.make_node("Mul", ["loud", "by_loudness"], ["scaled"]),
            helper.make_node("Add", ["scaled", "always"], ["log_probs"]),
            helper.make_node("Identity", ["state"], ["state_next"]),
        ],
        "loudness",
        [
            helper.make_tensor_value_info("signal", TensorProto.INT32, ["batch", "samples", 1]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT16, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["batch", steps, vocabulary]),
            helper.make_tensor_value_info("state_next", TensorProto.FLOAT16, ["batch", 2]),
        ],
        [
            helper.make_tensor("threshold", TensorProto.FLOAT, [], [300.0]),
            constant("by_loudness", by_loudness),
            constant("always", always),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"frame_length_ms": "300", "state_dim": "2", "sample_rate": "8000"})
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "tokens.txt").write_text("▁hello 1\n<unk> 2\n<blk> 0\n", encoding="utf-8")


def make_whisper(folder: Path) -> None:
    """A Whisper model of random numbers, in CTranslate2's form."""
    import ctranslate2
    import numpy as np
    import tokenizers

    words = [f"w{i}" for i in range(60)] + ["<|endoftext|>", "<|startoftranscript|>", "<|en|>"]
    words += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    words += [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "w0"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([word for word in words if word.startswith("<|")])
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))

    spec = ctranslate2.specs.WhisperSpec(1, 2, 1, 2)
    random = np.random.default_rng(7)
    for name in [*spec.variables(), "encoder/position_encodings/encodings", "decoder/position_encodings/encodings"]:
        shape = _shape(name, size=16, vocabulary=len(words))
        if shape is not None:
            *path, last = name.split("/")
            part = functools.reduce(_part, path, spec)
            setattr(part, last, random.normal(0.0, 0.2, shape).astype(np.float32))
            if last == "weight" and "embeddings" not in name:
                part.bias = np.zeros(shape[0], np.float32)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.alignment_heads = [(0, 0)]
    spec.config.lang_ids = [words.index("<|en|>")]
    spec.register_vocabulary(words)
    spec.validate()
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))


def make_smart_turn(file: Path, *, bands: int = 80, frames: int = 800, turns: int = 1) -> None:
    """A Smart Turn model of 4 KB: the louder the second half of the sound is than the first, the surer it is."""
    import onnx
    from onnx import TensorProto, helper

    halves = [-40.0 / frames] * (frames // 2) + [40.0 / frames] * (frames // 2)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input_features"], ["loudness"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["loudness", "halves"], ["rise"]),
            helper.make_node("Sigmoid", ["rise"], ["logits"]),
        ],
        "rise",
        [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["batch", bands, frames])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", turns])],
        [helper.make_tensor("halves", TensorProto.FLOAT, [frames, turns], halves * turns)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))


def _part(spec: Any, name: str) -> Any:
    """`layer_0` is an attribute of that name or the first of the list `layer`."""
    if hasattr(spec, name):
        return getattr(spec, name)
    items, _, index = name.rpartition("_")
    return getattr(spec, items)[int(index)]


def _shape(name: str, *, size: int, vocabulary: int) -> tuple[int, ...] | None:
    """Of a weight; None: the variable is a setting, not a weight."""
    if name.endswith(("gamma", "beta")):
        return (size,)
    if name.endswith("encodings"):
        return (1500 if name.startswith("encoder") else 448, size)
    if not name.endswith("weight"):
        return None
    if "conv" in name:
        return (size, 80 if "conv1" in name else size, 3)
    if "ffn" in name:
        return (4 * size, size) if "linear_0" in name else (size, 4 * size)
    if "embeddings" in name or "projection" in name:
        return (vocabulary, size)
    rows = 3 if "self_attention/linear_0" in name else 2 if "/attention/linear_1" in name else 1
    return (rows * size, size)
