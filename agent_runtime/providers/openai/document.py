"""An answer that was asked for as a stream of events, and comes as one document. Pure."""

from agent_runtime.providers.http.sse import LONGEST_LINE, ServerSentEvents, TooLong


class DocumentOrEvents:
    """The messages of a stream of events, or one document: a service that cannot stream ignores that it was asked to."""

    def __init__(self) -> None:
        self._events: ServerSentEvents | None = None
        self._document = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        if self._events is not None:
            return self._events.feed(data)
        self._document += data if self._document else data.lstrip()
        if self._document and not self._document.startswith((b"{", b"[")):
            self._events = ServerSentEvents()
            return self._events.feed(bytes(self._document))
        if len(self._document) > LONGEST_LINE:
            raise TooLong(f"an answer of more than {LONGEST_LINE} bytes")
        return []

    def end(self) -> list[bytes]:
        if self._events is not None:
            return self._events.end()
        return [bytes(self._document)] if self._document else []
