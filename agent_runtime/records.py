"""Records that nobody changes once they are made: what happened, what was heard, what is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, **options: Any) -> Callable[[type], type]:
        """`dataclasses.dataclass`, whose `frozen` is kept by the type checker and not at run time.

        Two dozen records are made between a caller's last word and the first sample of the answer, and a class that is
        frozen at run time is made in 1.2 µs where another takes 0.5 µs.
        """
        return dataclass(unsafe_hash=frozen, **options)


__all__ = ["record"]
