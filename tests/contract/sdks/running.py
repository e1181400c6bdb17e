"""What the scripts share that run in the environments of the SDKs: each call is made, each answer is read."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Read = Callable[[str], Mapping[str, Any]]


def run(version: str, calls: Mapping[str, Callable[[str], object]], reads: Mapping[str, Read], **more: Any) -> None:
    """Make the calls at the address in the first argument, each below its own name; tell what became of them.

    Args:
        calls: each is given its address.
        reads: likewise; it returns what it understood, in the words of `material.SAID`.
        more: what else is told.
    """
    server = sys.argv[1]
    refused = {}
    for name, call in calls.items():
        try:
            call(f"{server}/{name}")
        except Exception as error:  # what an SDK refuses belongs to what is recorded
            refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    read = {name: dict(ask(f"{server}/{name}")) for name, ask in reads.items()}
    json.dump({"version": version, "refused": refused, "read": read, **more}, sys.stdout)
