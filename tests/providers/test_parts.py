"""The bytes of pictures and files. Rows C6, D19 to D23, D25."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContent
from agent_runtime.content import AudioContent, FileContent, ImageContent, Loaded, TextContent
from agent_runtime.errors import APIStatusError, UsageError
from agent_runtime.providers import parts
from agent_runtime.providers.inlined import data_uri
from agent_runtime.providers.parts import load, load_all, typed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
MARK = {"type": "ephemeral"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class TestTyped:
    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            ("hello", TextContent("hello")),
            ({"type": "text", "text": "hello"}, TextContent("hello")),
            ({"type": "text", "text": "hello", "cache_control": MARK}, TextContent("hello", MARK)),
            (
                {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}, "cache_control": MARK},
                ImageContent("https://h/a.png", inference_detail="low", cache_control=MARK),
            ),
            ({"type": "image_url", "image_url": "./localimage.jpeg"}, ImageContent("./localimage.jpeg")),
            (
                {"type": "image_url", "image_url": {"url": "https://h/a", "format": "image/png"}},
                ImageContent("https://h/a", mime_type="image/png"),
            ),
            (
                {"type": "file", "file": {"file_data": f"data:audio/mp3;base64,{b64(b'ID3')}"}},
                FileContent(data=b"ID3", mime_type="audio/mp3"),
            ),
            (
                {
                    "type": "file",
                    "file": {"file_id": "https://h/a", "format": "application/pdf"},
                    "cache_control": MARK,
                },
                FileContent(uri="https://h/a", mime_type="application/pdf", cache_control=MARK),
            ),
            (
                {"type": "file", "file": {"file_id": "gs://b/a.mp4"}},
                FileContent(uri="gs://b/a.mp4", mime_type="video/mp4"),
            ),
            (
                {"type": "file", "file": {"file_data": b64(b"%PDF-1"), "filename": "a.pdf"}},
                FileContent(data=b"%PDF-1", filename="a.pdf"),
            ),
            (
                {"type": "input_audio", "input_audio": {"data": b64(b"RIFF"), "format": "wav"}},
                FileContent(data=b"RIFF", mime_type="audio/wav"),
            ),
            ({"type": "image_content", "image": "https://h/a.png"}, ImageContent("https://h/a.png")),
            ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
        ],
    )
    def test_d19_to_d25_parts_in_openais_form(self, part: ChatContent, expected: Any) -> None:
        assert typed(part) == expected

    def test_what_is_typed_stays(self) -> None:
        part = ImageContent(PNG)
        assert typed(part) is part

    @pytest.mark.parametrize(
        ("part", "told"),
        [
            ({"type": "text"}, "has text=None, which must be a string"),
            ({"type": "image_url"}, r"'image_url' has image_url='None'; it needs {'url'"),
            ({"type": "image_url", "image_url": {}}, "has url=None"),
            ({"type": "file"}, "'file' has file='None'; it needs a dictionary"),
            ({"type": "file", "file": {"name": "x"}}, "it needs {'file_data'"),
            ({"type": "file", "file": {"file_id": "file-abc123"}}, "uri='file-abc123'; it begins with https"),
            ({"type": "input_audio", "input_audio": {"data": "***"}}, "is no base64"),
            (5, "A message holds a int; its parts are text"),
        ],
    )
    def test_what_lacks_something_is_told(self, part: Any, told: str) -> None:
        with pytest.raises(UsageError, match=told):
            typed(part)


def pictures(request: httpx.Request) -> httpx.Response:
    """A host with pictures."""
    bodies = {"/a.png": (PNG, "image/png"), "/page": (b"<html>", "text/html"), "/broken.png": (b"oops", "image/png")}
    bodies |= {"/odd": (JPEG, "text/plain"), "/a.pdf": (b"%PDF-1", "application/octet-stream"), "/x": (b"x", "")}
    if request.url.path not in bodies:
        return httpx.Response(404)
    data, kind = bodies[request.url.path]
    return httpx.Response(200, content=data, headers={"content-type": kind})


async def somewhere(host: str, port: int) -> list[str]:
    return ["93.184.215.14"]


def loaded(part: Any, answer: Callable[[httpx.Request], httpx.Response] = pictures, **options: Any) -> Loaded:
    async def main() -> Loaded:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await load(part, client=client, resolve=somewhere, **options)

    return virtual.run(main())


class TestLoad:
    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            (ImageContent(PNG), Loaded("image/png", PNG)),
            (ImageContent(PNG, mime_type="image/gif"), Loaded("image/png", PNG)),
            (ImageContent(f"data:image/gif;base64,{b64(JPEG)}"), Loaded("image/jpeg", JPEG)),
            (ImageContent("https://h.test/a.png"), Loaded("image/png", PNG)),
            (ImageContent("https://h.test/odd"), Loaded("image/jpeg", JPEG)),
            ({"type": "image_url", "image_url": {"url": "https://h.test/a.png"}}, Loaded("image/png", PNG)),
            (FileContent(uri="https://h.test/a.pdf"), Loaded("application/pdf", b"%PDF-1")),
            (FileContent(uri="https://h.test/page"), Loaded("text/html", b"<html>")),
            (FileContent(data=b"%PDF-1"), Loaded("application/pdf", b"%PDF-1")),
        ],
    )
    def test_d19_d21_d22_the_bytes_and_what_they_are(self, part: Any, expected: Loaded) -> None:
        assert loaded(part) == expected

    def test_audio_is_a_wav(self) -> None:
        frame = AudioFrame(bytes(320), 16_000)
        made = loaded(AudioContent([frame]))
        assert (made.mime_type, made.data[:4], len(made.data)) == ("audio/wav", b"RIFF", 364)
        assert str(data_uri(made)).startswith("data:audio/wav;base64,UklGR")

    def test_d20_a_picture_on_this_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "localimage.jpeg").write_bytes(JPEG)
        monkeypatch.chdir(tmp_path)
        for part in ("./localimage.jpeg", tmp_path / "localimage.jpeg"):
            assert loaded(ImageContent(part)) == Loaded("image/jpeg", JPEG)
        assert loaded({"type": "image_url", "image_url": {"url": "./localimage.jpeg"}}) == Loaded("image/jpeg", JPEG)

    def test_a_file_on_this_machine(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_bytes(b"a,b")
        assert loaded(FileContent(path=path)) == Loaded("text/csv", b"a,b")

    @pytest.mark.parametrize(
        ("part", "told"),
        [
            (
                ImageContent("./gone.png"),
                r"The image './gone.png' is not there \(looked for /.*gone.png\); check the path",
            ),
            (ImageContent("/"), "The image '/' is no file"),
            (ImageContent(b64(PNG) * 100), r"^The image '.{200}\.\.\.' cannot be read \(File name too long\)"),
            (ImageContent("/etc/passwd"), r"An image is of an unknown type \(The image '/etc/passwd'\)"),
            (ImageContent("/dev/zero"), "The image '/dev/zero' is no file"),
            (ImageContent("a\0b.png"), "cannot be read"),
            (FileContent(path="gone.pdf"), "The file 'gone.pdf' is not there"),
            (
                FileContent(uri="gs://b/a.pdf"),
                "The file 'gs://b/a.pdf' is in Google's storage, which only Gemini reads",
            ),
            (FileContent(uri="https://h.test/x"), "The file 'https://h.test/x' is of an unknown type; say it"),
            (
                ImageContent("https://h.test/page?key=secret"),
                r"of the type 'text/html' \(The image 'https://h.test/page'\)",
            ),
            (
                ImageContent("https://me:SESAME@h.test/page"),
                r"of the type 'text/html' \(The image 'https://\*\*\*@h.test/page'\)",
            ),
            (ImageContent("https://h.test/broken.png"), "of an unknown type"),
            (TextContent("https://h.test/a.png"), "has no bytes to load; it is text"),
            ("https://h.test/a.png", "A part of the type str has no bytes to load"),
        ],
    )
    def test_what_cannot_be_loaded_is_told(self, part: Any, told: str) -> None:
        with pytest.raises(UsageError, match=told):
            loaded(part)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(UsageError, match="is no file"):
            loaded(ImageContent(tmp_path / "pipe.png"))

    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"")
        with pytest.raises(UsageError, match=r"a.png' is empty; give a file with something in it"):
            loaded(ImageContent(path))

    def test_a_picture_that_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(PNG[:20])
        with pytest.raises(UsageError, match=r"a.png'\) is cut off: 20 bytes of 'image/png' are none"):
            loaded(ImageContent(path))

    def test_an_address_that_answers_404(self) -> None:
        with pytest.raises(
            APIStatusError, match=r"The image 'https://h.test/gone' could not be fetched \(status 404\)"
        ) as caught:
            loaded(ImageContent("https://h.test/gone?sig=secret"))
        assert (caught.value.status_code, caught.value.retryable, caught.value.fault) == (404, False, "request")

    @pytest.mark.parametrize("where", ["bytes", "path", "address", "length"])
    def test_what_is_too_large_is_not_sent(self, where: str, tmp_path: Path) -> None:
        large = PNG + bytes(1000)
        path = tmp_path / "a.png"
        path.write_bytes(large)

        def answer(request: httpx.Request) -> httpx.Response:
            if where == "length":
                return httpx.Response(200, headers={"content-length": "999999999"}, stream=httpx.ByteStream(PNG))
            return httpx.Response(200, stream=httpx.ByteStream(large))

        part: Any = {"bytes": large, "path": path}.get(where, "https://h.test/a.png")
        with pytest.raises(UsageError, match=r"has (more than )?[\d,]+ bytes; at most 500 are sent: make it smaller"):
            loaded(ImageContent(part), answer, limit=500)

    def test_what_was_fetched_is_not_fetched_again(self) -> None:
        asked = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return pictures(request)

        part = ImageContent("https://h.test/a.png")
        assert loaded(part, answer) is loaded(part, answer)
        assert asked == ["/a.png"]
        with pytest.raises(UsageError, match="at most 5 are sent"):
            loaded(part, answer, limit=5)

    def test_nothing_blocks_the_loop_while_a_file_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = []
        offload = clock.offload

        async def watched(function: Any, *args: Any) -> Any:
            given.append(function)
            return await offload(function, *args)

        monkeypatch.setattr(clock, "offload", watched)
        path = tmp_path / "a.png"
        path.write_bytes(PNG)
        loaded(ImageContent(path))
        assert given == [parts._read]


class TestLoadAll:
    def all(self, *given: Any, **options: Any) -> list[Loaded]:
        async def main() -> list[Loaded]:
            async with httpx.AsyncClient(transport=httpx.MockTransport(pictures)) as client:
                return await load_all(given, client=client, resolve=somewhere, **options)

        return virtual.run(main())

    def test_in_their_order(self) -> None:
        both = self.all(ImageContent("https://h.test/a.png"), ImageContent(JPEG))
        assert [each.mime_type for each in both] == ["image/png", "image/jpeg"]
        assert self.all() == []

    def test_together_they_are_bounded(self) -> None:
        with pytest.raises(
            UsageError, match="The pictures and files of one request have 56 bytes; together they may have 50"
        ):
            self.all(ImageContent(PNG), ImageContent(PNG), total=50)

    def test_the_first_error_is_the_one_that_is_told(self) -> None:
        with pytest.raises(UsageError, match="is not there"):
            self.all(ImageContent(PNG), ImageContent("gone.png"), ImageContent("gone2.png"))


def test_text_is_never_loaded_whatever_it_says() -> None:
    for text in ("/etc/passwd", "https://h.test/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA"):
        assert typed(text) == TextContent(text)
        assert typed({"type": "text", "text": text}) == TextContent(text)
