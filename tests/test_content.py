"""Parts of a message that are no text. Rows C6, D19 to D23, D25."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_runtime import AudioContent, ChatContext, FileContent, ImageContent
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContent
from agent_runtime.content import LONGEST_TOLD, TextContent, from_dict, outline
from agent_runtime.errors import UsageError
from agent_runtime.events import ConversationItemAdded
from agent_runtime.media import by_name, data_uri, encoded, parse_data_uri, sniffed
from agent_runtime.trace import codec
from agent_runtime.trace.log import record

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
WEBP = b"RIFF\x14\0\0\0WEBPVP8 " + bytes(12)
GIF = b"GIF89a" + bytes(20)
SOUND = AudioFrame(bytes(range(200)) * 16, 16_000)


class Frame:
    """A video frame as livekit's is one."""

    def __init__(self, width: int, height: int, kind: int = 5, data: bytes | None = None) -> None:
        self.width, self.height, self.type = width, height, kind
        rows, columns = np.mgrid[0:height, 0:width]
        pixels = np.stack([rows % 256, columns % 256, rows * 0 + 7, rows * 0 + 255], axis=2).astype(np.uint8)
        self.data = memoryview(pixels.tobytes() if data is None else data)

    def convert(self, dst_type: int, /) -> "Frame":
        assert dst_type == 0  # RGBA
        return Frame(self.width, self.height, 0)


class TestImage:
    @pytest.mark.parametrize(
        ("image", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp"), (GIF, "image/gif")]
    )
    def test_c6_four_types_are_taken(self, image: bytes, kind: str) -> None:
        assert sniffed(image) == kind
        assert ImageContent(image).to_dict()["image"] == data_uri(kind, image)
        ImageContent(data_uri(kind, image))

    @pytest.mark.parametrize(
        ("image", "kind"),
        [
            (b"BM" + bytes(20), "of the type 'image/bmp'"),
            (b"%PDF-1.7 ...", "of the type 'application/pdf'"),
            (b"plain", "of an unknown type"),
            ("data:image/tiff;base64,AAAA", "of the type 'image/tiff'"),
            ("data:;base64,AAAA", "of an unknown type"),
        ],
    )
    def test_an_unknown_type_is_named(self, image: Any, kind: str) -> None:
        with pytest.raises(
            UsageError, match=f"^An image is {kind} .*image/jpeg, image/png, image/webp, image/gif: convert it"
        ):
            ImageContent(image)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"image": 5}, "an image of the type int"),
            ({"image": ""}, "image=''"),
            ({"image": "gs://bucket/a.png"}, r"image='gs://bucket/a.png'.*FileContent\(uri="),
            ({"image": "ftp://host/a.png"}, "it is an https address"),
            ({"image": "http://"}, "image='http://'; it is an https address"),
            ({"image": "https:///a.png"}, "it is an https address"),
            ({"image": "http://[::1/a.png"}, "it is an https address"),
            ({"image": "ftp://me:SESAME@host/a.png?key=SESAME"}, r"image='ftp://\*\*\*@host/a.png'; it"),
            (
                {"image": PNG[:20]},
                r"An image \(these bytes\) is cut off: 20 bytes of 'image/png' are none; give the whole",
            ),
            ({"image": data_uri("image/gif", GIF[:8])}, "this data URI. is cut off: 8 bytes of 'image/gif'"),
            ({"image": "data:image/png;base64,!!"}, "is no base64"),
            ({"image": "data:image/png;base64,"}, "is empty"),
            ({"image": "data:image/png"}, "is no data URI"),
            ({"image": PNG, "inference_width": 0}, "inference_width=0; it is a number of pixels, 1 or more"),
            ({"image": PNG, "inference_height": 2.5}, "inference_height=2.5"),
            ({"image": PNG, "inference_detail": "max"}, "inference_detail='max'; it is one of auto, high, low"),
            ({"image": PNG, "mime_type": "image/bmp"}, r"of the type 'image/bmp' \(mime_type\)"),
        ],
    )
    def test_what_cannot_be_is_told(self, given: dict[str, Any], told: str) -> None:
        with pytest.raises(UsageError, match=told):
            ImageContent(**given)

    def test_an_address_of_a_file_has_a_host_and_keeps_its_password(self) -> None:
        with pytest.raises(UsageError, match=r"uri='ftp://\*\*\*@host/a.pdf'; it begins with https"):
            FileContent(uri="ftp://me:SESAME@host/a.pdf?key=SESAME")
        with pytest.raises(UsageError, match="uri='gs://'; it begins with"):
            FileContent(uri="gs://")

    def test_a_picture_is_not_written_into_messages_of_errors_and_logs(self) -> None:
        assert len(repr(ChatContext([]).add_message(role="user", content=[ImageContent(PNG * 1000)]))) < 500


class TestFrames:
    def test_c6_a_frame_is_a_png_where_there_is_no_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "PIL", None)
        kind, data = encoded(Frame(40, 30))
        assert (kind, sniffed(data)) == ("image/png", "image/png")
        assert _pixels_of(data)[11, 23].tolist() == [11, 23, 7]

    def test_a_frame_is_made_to_fit_with_its_proportions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "PIL", None)
        assert _pixels_of(encoded(Frame(40, 30), 20, 20)[1]).shape == (15, 20, 3)
        assert _pixels_of(encoded(Frame(40, 30), None, 10)[1]).shape == (10, 13, 3)
        assert _pixels_of(encoded(Frame(40, 30), 400, 400)[1]).shape == (30, 40, 3)  # never larger
        assert _pixels_of(encoded(Frame(40, 30), 1, 1)[1]).shape == (1, 1, 3)
        small = _pixels_of(encoded(Frame(40, 30), 20)[1])
        assert small[5, 10].tolist() == [10, 20, 7]  # the mean of rows 10 and 11, rounded down

    def test_c6_a_frame_is_a_jpeg_where_there_is_pillow(self) -> None:
        image = pytest.importorskip("PIL.Image")
        kind, data = encoded(Frame(640, 480), 320)
        assert (kind, sniffed(data)) == ("image/jpeg", "image/jpeg")
        assert image.open(__import__("io").BytesIO(data)).size == (320, 240)

    def test_a_frame_of_livekit(self) -> None:
        rtc = pytest.importorskip("livekit.rtc")
        pixels = bytes([10, 200, 30, 255]) * (32 * 16)
        frame = rtc.VideoFrame(32, 16, rtc.VideoBufferType.RGBA, pixels)
        part = ImageContent(frame.convert(rtc.VideoBufferType.I420), inference_width=16)
        assert part.to_dict()["image"].startswith("data:image/")

    def test_a_frame_with_too_few_bytes_is_told(self) -> None:
        with pytest.raises(UsageError, match="A video frame of 4 x 4 has 3 bytes of RGBA; it needs 64"):
            encoded(Frame(4, 4, 0, b"abc"))


def _pixels_of(png: bytes) -> Any:
    """The pixels of a PNG whose lines are told by the one above."""
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    start = png.index(b"IDAT") + 4
    size = int.from_bytes(png[start - 8 : start - 4], "big")
    assert zlib.crc32(png[start - 4 : start + size]) == int.from_bytes(png[start + size : start + size + 4], "big")
    lines = np.frombuffer(zlib.decompress(png[start : start + size]), dtype=np.uint8).reshape(height, 1 + width * 3)
    assert set(lines[:, 0]) == {2}
    return np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


class TestAudio:
    def test_it_is_a_wav(self) -> None:
        import io
        import wave

        with wave.open(io.BytesIO(AudioContent([SOUND, SOUND]).wav())) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
            assert sound.readframes(9999) == SOUND.data * 2

    @pytest.mark.parametrize(
        ("frames", "told"),
        [
            ([], "holds no sound"),
            ([AudioFrame(b"", 16_000)], "holds no sound"),
            ([b"abc"], "holds a bytes; it takes a list of AudioFrame"),
            ([SOUND, AudioFrame(b"ab", 8_000)], "frames of 16000 and 8000 Hz"),
        ],
    )
    def test_what_is_no_sound_is_told(self, frames: Any, told: str) -> None:
        with pytest.raises(UsageError, match=told):
            AudioContent(frames)


class TestFile:
    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            ({"data": b"%PDF-1.7"}, "application/pdf"),
            ({"data": b"ID3\4"}, "audio/mpeg"),
            ({"data": b"\xff\xfb\x90\0"}, "audio/mpeg"),
            ({"data": b"\0\0\0\x18ftypmp42"}, "video/mp4"),
            ({"data": b"hello", "mime_type": "text/plain"}, "text/plain"),
            ({"data": b"hello", "filename": "notes.md"}, "text/markdown"),
            ({"data": "data:audio/mp3;base64,AAAA"}, "audio/mp3"),
            ({"uri": "https://host/a/report.PDF?sig=1"}, "application/pdf"),
            ({"uri": "gs://bucket/clip.mp4"}, "video/mp4"),
            ({"uri": "https://host/download"}, None),
            ({"path": "clip.wav"}, "audio/wav"),
            ({"path": Path("unknown.xyz")}, None),
        ],
    )
    def test_d22_the_type_is_found_where_it_is_not_said(self, given: dict[str, Any], kind: str | None) -> None:
        assert FileContent(**given).mime_type == kind

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({}, "FileContent has nothing; give one of data, uri and path"),
            ({"data": b"a", "uri": "https://h/a"}, "FileContent has data and uri"),
            ({"uri": "/etc/passwd"}, r"uri='/etc/passwd'; it begins with https:// or gs://"),
            ({"uri": "file:///etc/passwd"}, "it begins with https"),
            ({"data": b"hello"}, "of an unknown type; say it"),
            ({"data": "hello"}, "a string but no data URI"),
            ({"data": 5}, "data of the type int"),
            ({"path": 5}, "a path of the type int"),
            ({"data": b"a", "mime_type": "pdf"}, "mime_type='pdf'; write it like 'application/pdf'"),
        ],
    )
    def test_what_cannot_be_is_told(self, given: dict[str, Any], told: str) -> None:
        with pytest.raises(UsageError, match=told):
            FileContent(**given)


def test_the_table_of_types_is_our_own() -> None:
    assert (by_name("a.JPG"), by_name("https://h/x.webp#y"), by_name("a"), by_name(".png")) == (
        "image/jpeg",
        "image/webp",
        None,
        None,
    )


def test_a_data_uri_without_base64() -> None:
    assert parse_data_uri("data:text/plain,a%20b") == ("text/plain", b"a b")


PARTS: list[ChatContent] = [
    "text",
    TextContent("kept", {"type": "ephemeral"}),
    ImageContent("https://host/a.png", inference_detail="low", cache_control={"type": "ephemeral"}),
    ImageContent("./here.png", inference_width=100, mime_type="image/png"),
    ImageContent(data_uri("image/png", PNG)),
    AudioContent([SOUND], transcript="hello"),
    FileContent(uri="gs://bucket/a.pdf"),
    FileContent(data=b"%PDF-1.7", filename="a.pdf"),
    {"type": "image_url", "image_url": {"url": "https://host/a.png"}},
]


class TestInAConversation:
    def test_a_conversation_comes_back_from_json(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(role="user", content=PARTS)
        told = ctx.to_dict(exclude_image=False, exclude_audio=False, exclude_file=False)
        again = ChatContext.from_dict(json.loads(json.dumps(told)))
        assert again.messages()[0].content == PARTS
        assert again.is_equivalent(ctx)

    def test_bytes_and_paths_come_back_as_text(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(
            role="user", content=[ImageContent(PNG), ImageContent(Path("a.png")), ImageContent(Frame(4, 4))]
        )
        told = ctx.to_dict(exclude_image=False)
        kinds = [part["image"].split(",")[0] for part in told["items"][0]["content"]]
        assert kinds[:2] == ["data:image/png;base64", "a.png"]
        assert kinds[2].startswith("data:image/")
        assert ChatContext.from_dict(json.loads(json.dumps(told))).to_dict(exclude_image=False) == told

    def test_pictures_sound_and_files_are_left_out_unless_wanted(self) -> None:
        ctx = ChatContext.empty()
        ctx.add_message(role="user", content=PARTS)
        kept = ctx.to_dict()["items"][0]["content"]
        assert kept == ["text", {"type": "text_content", "text": "kept", "cache_control": {"type": "ephemeral"}}]
        files = ctx.to_dict(exclude_file=False)["items"][0]["content"]
        assert [part["type"] for part in files[2:]] == ["file_content", "file_content"]

    def test_the_text_of_marked_parts_counts(self) -> None:
        message = ChatContext.empty().add_message(
            role="user", content=["a", TextContent("b"), {"type": "text", "text": "c"}, ImageContent(PNG)]
        )
        assert message.text_content == "a\nb\nc"

    @pytest.mark.parametrize("part", [ImageContent(PNG), {"type": "text", "text": "a"}, TextContent("a")])
    def test_one_part_need_not_stand_in_a_list(self, part: ChatContent) -> None:
        assert ChatContext.empty().add_message(role="user", content=part).content == [part]

    def test_two_pictures_are_not_equivalent(self) -> None:
        one, other = ChatContext.empty(), ChatContext.empty()
        one.add_message(role="user", content=[ImageContent(PNG)], id="x")
        other.add_message(role="user", content=[ImageContent(GIF)], id="x")
        assert not one.is_equivalent(other)

    def test_what_another_version_wrote_is_told(self) -> None:
        entry = {"id": "a", "type": "message", "role": "user", "content": [{"type": "image_content", "pixels": 3}]}
        with pytest.raises(UsageError, match="A part of the type 'image_content' cannot be read"):
            ChatContext.from_dict({"items": [entry]})


LONG: list[ChatContent] = [
    ImageContent(PNG * 1000),
    ImageContent(data_uri("image/png", PNG * 1000)),
    ImageContent(Frame(640, 480)),
    AudioContent([SOUND] * 20),
    FileContent(data=b"%PDF" * 5000, mime_type="application/pdf"),
    {"type": "image_url", "image_url": {"url": data_uri("image/png", PNG * 1000)}},
    {"type": "file", "file": {"file_data": base64.b64encode(PNG * 1000).decode()}},
    {"type": "input_audio", "input_audio": {"data": base64.b64encode(PNG * 1000).decode(), "format": "wav"}},
]


@pytest.mark.parametrize("part", LONG, ids=lambda part: str(getattr(part, "type", "dict")))
class TestLogsAndTapes:
    def test_they_do_not_swell(self, part: ChatContent) -> None:
        message = ChatContext.empty().add_message(role="user", content=["look", part])
        line = record(ConversationItemAdded(at=0.0, item=message), seq=0, started=0.0)
        told = codec.plain(message)
        for written in (line["item"]["content"], told["message"]["content"]):
            assert written[0] == "look"
            assert len(json.dumps(written)) < LONGEST_TOLD
            assert "omitted" in written[1]

    def test_what_comes_back_from_a_tape_is_told_to_a_model_as_text(self, part: ChatContent) -> None:
        written = codec.plain(part)
        again = from_dict(written)
        assert isinstance(again, TextContent)
        assert again.text.startswith(f"[{written['type']} that was not recorded: ")


def test_short_parts_and_schemas_are_written_whole() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://host/a.png"}}
    schema = {"type": ["string", "null"], "description": "x" * 2000}
    assert outline(part) == part
    assert outline(schema) == schema
    assert codec.plain(ImageContent("https://host/a.png"))["image"] == "https://host/a.png"
