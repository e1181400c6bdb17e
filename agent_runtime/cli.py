"""The command line: `agent-runtime console agents/clock.py`, and `cli.run_app(server)` at the foot of a script."""

import argparse
import atexit
import contextlib
import importlib.util
import inspect
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from agent_runtime.errors import AgentRuntimeError, UsageError

if TYPE_CHECKING:
    from agent_runtime.worker.server import AgentServer

DESCRIPTION = """\
Talk to a voice agent, and see what it is made of.

  agent-runtime console agents/clock.py           talk to it with microphone and speaker
  agent-runtime console agents/clock.py --text    the same with the keyboard
  agent-runtime console agents/clock.py --input question.wav
                                                  play a recording to it, in virtual time
  agent-runtime explain agents/clock.py           what it is wired of, what is missing, what leaves this machine
  agent-runtime sim call.yaml                     make a simulated call, in virtual time
  agent-runtime replay call.tape --set turn_handling.endpointing.min_delay=0.3
                                                  make a recorded call again, with one thing changed
  agent-runtime diff call.tape other.tape         what each turn gained or lost
  agent-runtime keep call.tape tests/calls/one    make a test of it
  agent-runtime bench turns                       measure how turns are taken, on generated calls
  agent-runtime models                            which models there are, which keys are set, what they cost
  agent-runtime chat local/rules "hello"          ask one; see how fast it is
"""

EPILOG = """\
Inside a script that ends with cli.run_app(server), leave out its name: python agents/clock.py console --text
"""

ROOMS = ("dev", "start", "connect")

_WRONG_CHOICE = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<known>.*)\)")

LATER = "LiveKit rooms come in a later version, and with them '{0}'; use 'console' to talk to the agent until then."


def main(argv: Sequence[str] | None = None) -> int:
    """The command `agent-runtime`. Returns the exit status: 2 for what the user can mend, 130 after Ctrl-C.

    Without `argv` it is all that this process does, and signals stay in its hands until the process has ended.
    """
    with _signals(last=argv is None):
        return _guarded(_run, list(sys.argv[1:] if argv is None else argv), None)


def run_app(server: "AgentServer") -> NoReturn:
    """Run the command line for the script that calls this, and exit."""
    if _loading:
        _check_server(server)
        raise _AppGiven(server)
    with _signals(last=True):
        status = _guarded(_run_server, sys.argv[1:], server)
    sys.exit(status)


def _run_server(argv: list[str], server: "AgentServer | None") -> int:
    _check_server(server)
    return _run(argv, server)


def _check_server(server: object) -> None:
    from agent_runtime.worker.server import AgentServer

    if not isinstance(server, AgentServer):
        given = f"the function '{server.__name__}'" if inspect.isfunction(server) else repr(server)
        raise UsageError(
            f"cli.run_app() takes an AgentServer, not {given}; write server = AgentServer(), "
            "@server.rtc_session() above the entrypoint, and cli.run_app(server)."
        )


_loading: list[Path] = []
"""The script that is being loaded: where it calls `run_app` without looking at `__name__`, that is its end."""


class _AppGiven(BaseException):
    def __init__(self, server: "AgentServer") -> None:
        self.server = server


def _guarded(
    function: Callable[[list[str], "AgentServer | None"], int], argv: list[str], server: "AgentServer | None"
) -> int:
    _make_output_safe()
    try:
        status = function(argv, server)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _forget_output()
        return 141
    except Exception as error:
        if "--debug" in argv:
            traceback.print_exception(error)
        else:
            print(f"agent-runtime: {_sentence(error)}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _forget_output()
        return 2


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _signals(*, last: bool) -> Iterator[None]:
    """Within it Ctrl-C raises KeyboardInterrupt once; the next ends the process, without a word.

    Args:
        last: nothing follows in this process, so it goes on like that while Python shuts down. Else the signals are
            given back as they were.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are none of its business
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    if last:
        atexit.register(_close_ears)  # first in, last out
    try:
        yield
    finally:
        if not last:
            for number, handler in before.items():
                if handler is not None:  # else it was not Python that set it
                    signal.signal(number, handler)
        elif signal.getsignal(signal.SIGINT) is _interrupt:
            signal.signal(signal.SIGINT, _leave)


def _interrupt(number: int, _: object) -> NoReturn:
    signal.signal(number, _leave)  # a second KeyboardInterrupt could come up where nobody catches it
    raise KeyboardInterrupt


def _leave(number: int, _: object) -> NoReturn:
    try:
        sys.stdout.flush()
    finally:  # whatever that raises, for we may have come in the middle of a write
        os._exit(128 + number)


def _close_ears() -> None:
    """Python takes its handlers down before its last steps, and a signal would then kill it in the middle of them."""
    for number in _SIGNALS:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)


def _make_output_safe() -> None:
    """A terminal that cannot show a letter, or that is not there, must not end a call."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for as long as this process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _forget_output() -> None:
    """Nobody reads it any more; what is still in its buffer would be written, and fail again, at the process's end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: Exception) -> str:
    if isinstance(error, AgentRuntimeError):
        return str(error)
    return f"{_what(error)}; add --debug for the traceback."


def _what(error: BaseException, script: Path | None = None) -> str:
    """The error, and the line at which it came out of `script`, or simply came."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"  # which tells the file and the line
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if script is not None and _same(frame.filename, script)]
    place = (own or frames)[-1:]
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in place)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"


def _run(argv: list[str], server: "AgentServer | None") -> int:
    words = [word for word in argv if word != "--debug"]
    if words[:1] and words[0] in ROOMS and not {"-h", "--help"} & set(words):
        raise UsageError(LATER.format(words[0]))  # whatever else is said: its options are not known yet
    options = _parser(with_script=server is None).parse_args(argv)
    path = Path(sys.argv[0] if server is not None else getattr(options, "script", None) or "")
    if options.command == "sim":
        load_it = _loader(options, server)
        return _blaming(path, lambda: int(options.run(options, load_it)))
    if options.command in ("replay", "diff", "keep", "models"):
        return int(options.run(options))
    if options.command in ("bench", "chat"):
        return int(options.run(options, load_server))
    if server is None and options.script is None and not options.list_devices:
        raise UsageError("console needs a script: agent-runtime console agents/clock.py.")
    from agent_runtime.io.console import console, explain_script

    def load() -> "AgentServer":
        return server or load_server(options.script)

    command = console if options.command == "console" else explain_script
    return _blaming(path, lambda: command(options, load, path))


def _blaming(script: Path, command: Callable[[], int]) -> int:
    """Run a command; an error that comes out of the script is the script's."""
    try:
        return command()
    except AgentRuntimeError:
        raise
    except Exception as error:
        if not _is_from(script, error):
            raise
        raise UsageError(
            f"The script '{script}' raised {_what(error, script)}; mend it, or add --debug for the traceback."
        ) from error


def _loader(options: argparse.Namespace, server: "AgentServer | None") -> "Callable[[], AgentServer] | None":
    """Gives the script's server, where there is a script."""
    if server is not None:
        return lambda: server
    return (lambda: load_server(options.script)) if options.script is not None else None


def _is_from(script: Path, error: BaseException) -> bool:
    return any(_same(frame.filename, script) for frame in traceback.extract_tb(error.__traceback__))


def _same(filename: str, script: Path) -> bool:
    return Path(filename).absolute() == script.absolute()


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence, as everything here does, and takes options at any place among what has no name."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._is_inside or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._is_inside = True  # what is called now calls this again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False

    def error(self, message: str) -> NoReturn:
        if wrong := _WRONG_CHOICE.search(message):
            from difflib import get_close_matches

            near = get_close_matches(wrong["given"], re.findall(r"[\w-]+", wrong["known"]), n=1)
            if near:
                raise UsageError(f"{message}; did you mean {near[0]!r}? See {self.prog} --help.")
        raise UsageError(f"{message}; see {self.prog} --help.")


def _parser(*, with_script: bool) -> argparse.ArgumentParser:
    from agent_runtime import __version__
    from agent_runtime.io.chat import add_chat
    from agent_runtime.io.model_list import add_models
    from agent_runtime.tape.command import add_tape_commands
    from agent_runtime.testing.battery.bench import add_bench
    from agent_runtime.testing.command import add_sim

    parser = _Parser(
        prog="agent-runtime" if with_script else None,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"agent-runtime {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        if with_script:
            made.add_argument(
                "script",
                metavar="SCRIPT",
                nargs="?" if name == "console" else None,  # --list-devices needs none
                help="a Python file with an AgentServer in it",
            )
        made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
        return made

    _add_console_options(command("console", "Talk to the agent here."))
    command("explain", "Say what the agent is wired of, without starting it.")
    add_sim(commands, with_script=with_script)
    add_tape_commands(commands)
    if with_script:
        add_bench(commands)
        add_models(commands)
        add_chat(commands)
    for name in ROOMS:
        command(name, "Join LiveKit rooms (comes in a later version).")
    return parser


def _add_console_options(console: argparse.ArgumentParser) -> None:
    how = console.add_argument_group("how to talk")
    how.add_argument("--text", action="store_true", help="with the keyboard instead of a microphone")
    how.add_argument(
        "--input", metavar="FILE.wav", help="play a recording to it; in virtual time, as fast as it computes"
    )
    how.add_argument("--realtime", action="store_true", help="play the recording by the wall clock")
    how.add_argument(
        "--now", metavar="TIME", help="what the wall clock shows when a played call starts (2026-01-05T09:30:00+00:00)"
    )
    sound = console.add_argument_group("sound")
    sound.add_argument("--input-device", metavar="X", help="microphone: a number, a name or a part of it")
    sound.add_argument("--output-device", metavar="Y", help="speaker: the same")
    sound.add_argument("--list-devices", action="store_true", help="show microphones and speakers, and end")
    echo = sound.add_mutually_exclusive_group()
    echo.add_argument("--no-aec", action="store_true", help="no echo cancellation: for headphones")
    echo.add_argument(
        "--half-duplex", action="store_true", help="no echo cancellation, and a deaf microphone while the agent speaks"
    )
    kept = console.add_argument_group("what is kept")
    kept.add_argument("--record", metavar="PATH", help="a tape of the call, for 'agent-runtime replay'")
    kept.add_argument(
        "--out",
        metavar="DIR",
        help="where call.wav, call.svg and call.jsonl go (played calls: the current folder; live ones: only if given)",
    )


def load_server(script: str) -> "AgentServer":
    """Run a script and find its server.

    Raises:
        UsageError: there is no such file, it raises, or it has no server, two, or one without an entrypoint.
    """
    from agent_runtime.worker.server import AgentServer

    path = Path(script)
    if not script:
        raise UsageError("The path given as script is empty; name a Python file.")
    if path.is_dir():
        raise UsageError(f"The script {script!r} is a directory; name a Python file in it.")
    if not path.is_file():
        raise UsageError(f"There is no script {script!r}; name a Python file, for example agents/clock.py.")
    try:
        module = _execute(path)
    except _AppGiven as given:
        server = given.server
    else:
        servers = {id(value): value for value in vars(module).values() if isinstance(value, AgentServer)}
        if len(servers) != 1:
            found = f"{len(servers)} servers" if servers else "no AgentServer"
            raise UsageError(f"The script {script!r} has {found}; it needs one: server = AgentServer().")
        server = next(iter(servers.values()))
    try:
        _ = server.entrypoint
    except UsageError as error:
        raise UsageError(f"The script {script!r} has no entrypoint: {error}") from error
    return server


def _execute(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("agent_script", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{str(path)!r} is no Python file; name one, for example agents/clock.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["agent_script"] = module  # so that its classes can be found by pydantic and pickle
    sys.path.insert(0, str(path.parent.resolve()))
    _loading.append(path)
    try:
        spec.loader.exec_module(module)
    except AgentRuntimeError as error:
        raise UsageError(f"The script {str(path)!r} cannot be used: {error}") from error
    except Exception as error:
        raise UsageError(
            f"The script {str(path)!r} raised {_what(error, path)}; mend it, or add --debug for the traceback."
        ) from error
    except SystemExit as error:
        raise UsageError(
            f"The script {str(path)!r} ended itself with sys.exit({error.code!r}); "
            "it must run to its end, with an AgentServer in it."
        ) from error
    finally:
        _loading.pop()
    return module


if __name__ == "__main__":
    from agent_runtime import cli  # the module that scripts import; this one is called __main__

    sys.exit(cli.main())
