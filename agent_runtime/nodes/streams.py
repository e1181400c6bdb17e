"""Streams between the nodes of a speech: text on its way to a synthesiser, and sound that was given with its text."""

from collections.abc import AsyncIterable, AsyncIterator, Callable

from agent_runtime import clock
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel


class WatchedText:
    """Text for a tts_node, with a clock that runs while the node has text and gives no sound."""

    def __init__(
        self, text: AsyncIterable[str], given: Callable[[str], None], failed: Callable[[Exception], None]
    ) -> None:
        self._say = given
        self._failed = failed
        self.deadline: clock.Deadline | None = None
        self._text = aiter(text)
        self._waiting = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._waiting = True
        if self.deadline is not None:
            self.deadline.pause()
        try:
            piece = await anext(self._text)
            if isinstance(self._text, Channel):  # what came in one burst is one piece
                piece = "".join((piece, *self._text.drain()))
            self._say(piece)
            return piece
        except StopAsyncIteration:
            raise
        except Exception as error:  # not the node's fault: what came is said
            self._failed(error)
            raise StopAsyncIteration from None
        finally:
            self._waiting = False
            self.restart()

    def restart(self) -> None:
        """Sound or text came: the deadline counts from now, unless the node is waiting for text."""
        if self.deadline is not None and not self._waiting:
            self.deadline.restart()

    async def drain(self) -> None:
        """Take what the node left, so that the model behind it is not held back for ever; nobody will hear it."""
        async for piece in self._text:
            self._say(piece)


async def once(text: str) -> AsyncIterator[str]:
    yield text


async def captioned(audio: AsyncIterable[AudioFrame], text: str) -> AsyncIterator[AudioFrame]:
    first = True
    async for frame in audio:
        if first and text and frame.text is None:
            frame = AudioFrame(frame.data, frame.sample_rate, frame.num_channels, text=text, words=frame.words)
        first = False
        yield frame


def tee(text: AsyncIterable[str]) -> tuple[AsyncIterable[str], AsyncIterable[str]]:
    """The same pieces twice; the copy keeps what its reader has not taken."""
    copy: Channel[str] = Channel(1 << 20)

    async def through() -> AsyncIterator[str]:
        try:
            async for piece in text:
                copy.put(piece)
                yield piece
        finally:
            copy.close()

    return through(), copy
