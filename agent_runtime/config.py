"""Session profiles: the arguments of an `AgentSession`, in a YAML file under config/."""

import difflib
from pathlib import Path
from typing import Any

from agent_runtime.errors import UsageError

KEYS = (
    *("vad", "stt", "llm", "tts", "turn_handling", "stt_context_options"),
    *("max_tool_steps", "tts_text_transforms", "user_away_timeout", "on_error", "budget"),
)


def load_profile(path: str | Path) -> dict[str, Any]:
    """Read a profile: ``AgentSession(**load_profile("config/local.yaml"))``.

    Raises:
        UsageError: there is no such file, it is no YAML mapping, or it has a key that a session does not take (with
            what was near). What stands behind the keys is checked by the session.
    """
    import yaml

    try:
        profile = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"The profile {str(path)!r} cannot be read: {error.strerror}; name a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f", line {line + 1}" if line is not None else ""
        raise UsageError(f"The profile {str(path)!r} is no YAML{where}; compare it with config/local.yaml.") from error
    if not isinstance(profile, dict):
        raise UsageError(f"The profile {str(path)!r} is no mapping; write lines such as 'stt: local/pocketsphinx'.")
    for key in profile:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(KEYS)}."
            raise UsageError(f"The profile {str(path)!r} has the unknown key {key!r}. {hint}")
    return profile
