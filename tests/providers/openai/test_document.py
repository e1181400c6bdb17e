"""A document where events were asked for, however its bytes are cut."""

import pytest

from agent_runtime.providers.openai.document import DocumentOrEvents


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b' \n{"a": 1,\n\n"b": 2}\n', [b'{"a": 1,\n\n"b": 2}\n']),
        (b'[{"a": 1}]', [b'[{"a": 1}]']),
        (b'data: {"a": 1}\n\ndata: [DONE]\n\n', [b'{"a": 1}', b"[DONE]"]),
        (b': hello\n\ndata: {"a": 1}', [b'{"a": 1}']),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_document_is_one_message_and_a_stream_has_its_own(data: bytes, messages: list[bytes], size: int) -> None:
    framing = DocumentOrEvents()
    found = [each for at in range(0, len(data), size) for each in framing.feed(data[at : at + size])]
    assert [*found, *framing.end()] == messages
