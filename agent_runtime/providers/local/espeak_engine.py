"""espeak-ng in the child process of `local/espeak`. Nothing but that process imports this module.

espeak-ng keeps its state in globals, one for the process, and it calls back with sound until it is told to stop. To
serve it piece by piece, each phrase runs in a thread of its own, which stands still in the callback until the next
piece is asked for: sound is made on demand, and a phrase that is cancelled ends within the callback it stands in.
"""

import ctypes
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from agent_runtime.providers.local.word_times import Piece, WordTimes

Take = Callable[[bytes, list[tuple[int, int]]], bool]
"""Takes sound and marks (character from 0, sample); says whether to go on."""

_PIECE_S = 0.08
_BUFFER_MS = 60

# From speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE, _PITCH = 1, 3
_LIST_TERMINATED, _WORD = 0, 1


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """The C library. One for the process; `speak` blocks until the phrase is said or `take` refuses more."""

    def __init__(self, voice: str, rate: int, pitch: int) -> None:
        import espeakng_loader

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate: int = self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, _DONT_EXIT)
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng could not read its data at {espeakng_loader.get_data_path()}")
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise LookupError(f"espeak-ng has no voice {voice!r}")
        self._lib.espeak_SetParameter(_RATE, rate, 0)
        self._lib.espeak_SetParameter(_PITCH, pitch, 0)
        self._take: Take = _refuse
        self._callback = _Callback(self._on_sound)
        self._lib.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, take: Take) -> None:
        # A NUL would end the text early. Whatever replaces a character takes its place, so positions stay.
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        self._take = take
        code = self._lib.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._take = _refuse
        if code != 0:
            raise RuntimeError(f"espeak-ng returned {code} for a text of {len(text)} characters")

    def _on_sound(self, samples: int | None, count: int, events: Any) -> int:
        marks = []
        index = 0
        while events[index].type != _LIST_TERMINATED:
            if events[index].type == _WORD:
                marks.append((events[index].text_position - 1, events[index].sample))
            index += 1
        sound = ctypes.string_at(samples, 2 * count) if samples and count > 0 else b""
        return 0 if self._take(sound, marks) else 1


def _refuse(sound: bytes, marks: list[tuple[int, int]]) -> bool:
    return False


class Phrase:
    """One phrase in the making, in a thread that works only between a request and its answer."""

    def __init__(self, library: Library, text: str) -> None:
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._made: SimpleQueue[Piece | Exception | None] = SimpleQueue()
        self._going_on = True
        self._thread = Thread(target=self._run, args=(library, text), daemon=True)
        self._thread.start()

    def next(self) -> Piece | None:
        """The next piece; None once at the end. Raises what the library raised."""
        self._asked.put(True)
        made = self._made.get()
        if isinstance(made, Exception):
            raise made
        return made

    def cancel(self) -> None:
        """Stop, and wait until the library has let go."""
        self._asked.put(False)
        self._thread.join()

    def _run(self, library: Library, text: str) -> None:
        times = WordTimes(text, library.sample_rate, int(_PIECE_S * library.sample_rate))

        def take(sound: bytes, marks: list[tuple[int, int]]) -> bool:
            times.add(sound, marks)
            while self._going_on and (piece := times.take()) is not None:
                self._answer(piece)
            return self._going_on

        self._going_on = self._asked.get()
        if self._going_on:
            try:
                library.speak(text, take)
            except Exception as error:  # it belongs to whoever asks for the next piece
                self._made.put(error)
                return
        times.finish()
        while self._going_on and (piece := times.take()) is not None:
            self._answer(piece)
        self._made.put(None)

    def _answer(self, piece: Piece) -> None:
        self._made.put(piece)
        self._going_on = self._asked.get()


class Engine:
    """What the parent talks to; see `agent_runtime.providers.local.speaking.ChildTTS`."""

    def __init__(self, voice: str, rate: int, pitch: int) -> None:
        self._library = Library(voice, rate, pitch)
        # The first phrase of a process takes a hundred times as long as the second: tables are read and filled.
        self._library.speak("a", lambda sound, marks: True)
        self._phrase: Phrase | None = None

    def ready(self) -> None:
        """Being here is enough."""

    def start(self, text: str) -> Piece | None:
        self.cancel()
        self._phrase = Phrase(self._library, text)
        return self.next()

    def next(self) -> Piece | None:
        if self._phrase is None:
            return None
        try:
            piece = self._phrase.next()
        except Exception:
            self._phrase = None
            raise
        if piece is None:
            self._phrase = None
        return piece

    def cancel(self) -> None:
        if self._phrase is not None:
            self._phrase.cancel()
            self._phrase = None
