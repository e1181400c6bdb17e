"""What a runtime adds: from the end of the caller's speech to sound, and from the decision to interrupt to silence."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import floor, ours
from benchmarks.report import Report, percentile
from benchmarks.talk import Caller, Ear, Script, Sink

TURNS = 60

Converse = Callable[[Caller, Ear, Script, Sink], Coroutine[Any, Any, None]]

CASES = {
    "no delays": Script(),
    "tokens every 10 ms": Script(every=0.01),
    "synthesis per sentence": Script(words=("It ", "is ", "twelve ", "o'clock ", "right ", "now."), per_token=False),
    "endpointing delay 0.1 s": Script(delay=0.1),
}
BARGE_IN = Script(frames=100, barge_in=True)
