"""A file that a call writes while it runs, and that never ends the call."""

import contextlib
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

from agent_runtime.errors import UsageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_new(path: Path) -> None:
    """Look whether a file can be made there, before anything is done for it.

    Raises:
        UsageError: something stands there, or the folder is not there.
    """
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file in it.")
    if os.path.lexists(path):
        raise UsageError(f"'{path}' exists, and what was recorded is not replaced; remove it or choose another name.")
    if not path.parent.is_dir():
        raise UsageError(f"Cannot write '{path}': there is no folder '{path.parent}'; make it or choose another name.")


class CallFile:
    """Bytes at given places of a new file.

    A path that cannot be opened is the user's mistake and is told before the call: `UsageError`. From then on nothing
    is raised: the first error of the disk is kept in `error`, told once to `on_error`, and every later write is a no-op
    that returns False.

    Not buffered: what was written is with the system at once and survives the death of this process, and a full disk is
    noticed by the write that met it, not by a close.

    Args:
        new: a file that stands there is not replaced: `UsageError`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, on_error: Callable[[OSError], None] | None = None, new: bool = False
    ) -> None:
        self.path = Path(path)
        self.error: OSError | None = None
        self._on_error = on_error
        self._raw: io.FileIO | None = None
        try:
            self._raw = io.FileIO(self.path, "x" if new else "w")
        except FileExistsError:
            check_new(self.path)
            raise
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise UsageError(
                    f"Cannot write {self.path}: {error.strerror}; name a folder that exists and may be written to."
                ) from error
            self._fail(error, whole=0)

    @property
    def open(self) -> bool:
        return self._raw is not None

    def write(self, offset: int, data: bytes | bytearray | memoryview, *, whole: int) -> bool:
        """Write `data` at `offset`. Where that fails the file is cut back to its first `whole` bytes."""
        raw = self._raw
        if raw is None:
            return False
        try:
            raw.seek(offset)
            rest = memoryview(data)
            while rest:
                rest = rest[raw.write(rest) or 0 :]
        except ValueError:
            # A signal handler closed the file between our two calls; what it wrote stands.
            return False
        except OSError as error:
            self._fail(error, whole=whole)
            return False
        return True

    def stretch(self, size: int) -> None:
        """Make the file `size` bytes long; new bytes are 0."""
        if self._raw is not None:
            try:
                self._raw.truncate(size)
            except ValueError:
                return  # as in `write`
            except OSError as error:
                self._fail(error, whole=0)

    def fail(self, error: OSError, *, whole: int) -> None:
        """Stop for a reason of the caller's own."""
        if self._raw is not None:
            self._fail(error, whole=whole)

    def close(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            try:
                raw.close()
            except OSError as error:  # a network disk may report a lost write only now
                self.error = self.error or error

    def _fail(self, error: OSError, *, whole: int) -> None:
        self.error = error
        raw, self._raw = self._raw, None
        if raw is not None:
            with contextlib.suppress(OSError):  # a device has no length to cut
                if whole:
                    raw.truncate(whole)
            with contextlib.suppress(OSError):
                raw.close()
        if self._on_error is not None:
            self._on_error(error)
