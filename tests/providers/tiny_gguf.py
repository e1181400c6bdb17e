"""A language model of random numbers, small enough to make in a test, and llama.cpp's real server with it.

It has a byte for a token and a chat template with tools, so that all which the server itself does is real: templates,
grammars, tool calls, sampling, slots. Only what it says means nothing.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

CONTEXT = 32768
"""Tokens, of all slots together."""
SLOTS = 4

TOOL_CALL = "<tool_call>"
"""The token that begins a tool call; with a `logit_bias` on it the model makes one."""

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", TOOL_CALL, "</tool_call>"]

TEMPLATE = """\
{%- if tools %}<|im_start|>system
You may call these functions:
<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>
Answer with <tool_call>{"name": "...", "arguments": {...}}</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] -%}
<tool_call>{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def vocabulary() -> list[str]:
    """The 256 bytes as GPT-2 writes them, then the special tokens."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)] + SPECIAL


def token(text: str) -> int:
    """The number of a special token, or of a character of ASCII."""
    return 256 + SPECIAL.index(text) if text in SPECIAL else ord(text)


def make_gguf(path: Path) -> None:
    """A Llama of one layer, 0.4 MB."""
    import gguf
    import numpy as np

    width, heads, inner = 64, 2, 128
    words = vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    kinds = [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.USER_DEFINED] * 2
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ġ t"])  # there has to be one; it makes no token, so it never happens
    writer.add_bos_token_id(token("<|endoftext|>"))
    writer.add_eos_token_id(token("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    numbers = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        values = np.ones(shape) if len(shape) == 1 else numbers.normal(0.0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(words), width)
    add("output_norm.weight", width)
    add("output.weight", len(words), width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width)
    add("blk.0.attn_norm.weight", width)
    add("blk.0.ffn_norm.weight", width)
    add("blk.0.ffn_gate.weight", inner, width)
    add("blk.0.ffn_up.weight", inner, width)
    add("blk.0.ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextlib.contextmanager
def serving(model: Path) -> Iterator[str]:
    """llama.cpp's server on a free port of this machine; its address."""
    import xllamacpp  # type: ignore[import-untyped, unused-ignore]

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = SLOTS
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.warmup = False
    parameters.endpoint_slots = True
    parameters.cpuparams.n_threads = 1
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    try:
        yield server.listening_address
    finally:
        del server
