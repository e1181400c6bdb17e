"""What both sides of the contract say: words, pictures, files. It imports nothing of ours: the SDKs' side reads it too."""

import base64
import struct
from typing import Any

KEY = "key-1234567"
SECRET = "secret-of-at-least-thirty-two-bytes"
AWS_KEY = "AKIDEXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-west-1"

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
"""A picture of one pixel."""

PNG_BASE64 = base64.b64encode(PNG).decode()
PNG_URI = f"data:image/png;base64,{PNG_BASE64}"

_SAMPLES = b"\x01\x00\x02\x00" * 4
WAV = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", 36 + len(_SAMPLES), b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", len(_SAMPLES)),
)
WAV += _SAMPLES
WAV_BASE64 = base64.b64encode(WAV).decode()

PDF = b"%PDF-1.4\n%%EOF\n"
PDF_BASE64 = base64.b64encode(PDF).decode()

MP3_BASE64 = base64.b64encode(b"ID3\x03\x00\x00\x00\x00\x00\x00").decode()

PICTURE_URL = "https://93.184.215.14/cat.png"
"""A public address without a name: nobody has to look it up."""
PDF_URL = "https://files.example.com/paper.pdf"
GS_URI = "gs://bucket/talk.mp4"

HELLO = "Hello"
SYSTEM = "You are a helpful assistant."
LONG = "Twelve ships sailed out of the harbour, and eleven came back. " * 120
"""More than 1024 tokens: the least that Gemini keeps in a cache."""

WEATHER_TOOL = "Look up the weather."
BOOK_TOOL = "Book seats."

FORECAST: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
"""The schema of an answer."""

COOKIES: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "properties": {"recipe_name": {"type": "string"}}, "required": ["recipe_name"]},
}
"""The schema of an answer as one of the founding documents has it."""

MODELS = (
    "gemini-pro",
    "gemini-1.5-pro-latest",
    "gemini-1.5-flash",
    "gemini-pro-vision",
    "gemini-2.0-flash",
    "gemini-2.0-flash-exp",
    "gemini-2.0-flash-lite-preview-02-05",
    "gemini-2.5-flash-preview-04-17",
)
"""Those that row D24 names."""

HARMS = [
    {"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"}
    for harm in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
]

# What the scripted server says, and each SDK has to understand. The names of the fields are those of testing's `Said`.
SAID: dict[str, dict[str, Any]] = {
    "text": {"text": "Hello there, how are you? Grüße!"},
    "calls": {
        "text": "Let me look.",
        "calls": [["get_weather", {"city": "Zürich"}], ["book", {"seats": 2, "name": None}]],
    },
    "reasoning": {"text": "Four.", "reasoning": "Two and two.", "completion_tokens": 20, "reasoning_tokens": 15},
    "cached": {"text": "As before.", "prompt_tokens": 2000, "completion_tokens": 3, "cached_tokens": 1500},
    "cut": {"text": "Once upon a", "cut": True},
    "error": {"text": "Well, ", "error": "the engine is on fire"},
}

SEEN: dict[str, dict[str, Any]] = {
    "picture": {"text": "Here it is.", "images": [PNG_BASE64]},
    "fit": {"text": '[{"recipe_name": "Pancakes"}]'},
    "unfit": {"text": '[{"recipe": "Pancakes"}]'},
    "sound": {"audio": base64.b64encode(_SAMPLES).decode()},
}
"""The same, where Gemini alone has words for it, or LiteLLM for what it is to look like. Bytes are in base64."""

EVERYTHING: dict[str, Any] = {
    "temperature": 0.7,
    "top_p": 0.9,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "stop": "END",
    "seed": 7,
    "max_completion_tokens": 100,
}
"""Every parameter of a chat completion that has to do with sampling."""

SERVICES = {
    "openai": "gpt-4.1",
    "baseten": "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
    "cerebras": "gpt-oss-120b",
    "deepseek": "deepseek-chat",
    "fireworks": "accounts/fireworks/models/llama-v3p3-70b-instruct",
    "groq": "llama-3.3-70b-versatile",
    "mistralai": "ministral-8b-latest",
    "openrouter": "auto",
    "perplexity": "sonar-pro",
    "together": "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
    "xai": "grok-4-1-fast-non-reasoning",
}
"""Services that speak OpenAI's wire, by our names, with a model of theirs."""
