#!/bin/sh
# Makes environments of their own, .venv-NAME, for what shares none with us: scripts/environments.sh NAME ...
# Each is of the Python of .venv and of the pins in requirements/env-NAME.txt; nothing is done where nothing changed.
# LOCK=1 writes the pins again. One that cannot be had is named, and the rest is made.
set -eu
cd "$(dirname "$0")/.."

# What each is there for: the frameworks that we are measured beside, the official clients that judge our wires, the
# proxy that translates, the graphs that we adapt.
wanted() {
    case $1 in
    livekit) echo '"livekit-agents==1.8.9"' ;;
    pipecat) echo '"pipecat-ai==1.14.0"' ;;
    openai) echo '"openai==3.54.0"' ;;
    anthropic) echo '"anthropic==2.12.0"' ;;
    google) echo '"google-genai==3.4.0"' ;;
    boto3) echo '"boto3==1.44.5"' ;;
    litellm) echo '"litellm[proxy,mcp]==1.106.2", "google-auth>=2.40"' ;;
    langgraph) echo '"langgraph==1.2.22"' ;;
    *)
        echo "There is no environment '$1'; there are livekit, pipecat, openai, anthropic, google, boto3, litellm, langgraph." >&2
        exit 2
        ;;
    esac
}

lock() {
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet 'uv>=0.9'
    there=$(mktemp -d)
    cat >"$there/pyproject.toml" <<END
[project]
name = "env-$1"
version = "0"
requires-python = ">=3.11,<3.14"
dependencies = [$(wanted "$1")]
[tool.uv]
environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
END
    .venv/bin/uv pip compile "$there/pyproject.toml" --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --custom-compile-command "LOCK=1 sh scripts/environments.sh $1" \
        --output-file "requirements/env-$1.txt"
    rm -rf "$there"
}

missing=
for name in "$@"; do
    wanted "$name" >/dev/null
    [ -z "${LOCK:-}" ] || lock "$name"
    venv=.venv-$name
    lock=requirements/env-$name.txt
    key="$(cksum <"$lock") $(pwd)"
    [ "$(cat "$venv/installed" 2>/dev/null)" != "$key" ] || continue
    echo "Installing $(grep -c '^[a-z]' "$lock") pinned packages into $venv ($lock) ..."
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    # Wheels alone, but for docopt, which has none.
    if "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --only-binary :all: \
        --no-binary docopt --require-hashes -r "$lock"; then
        echo "$key" >"$venv/installed"
    else
        missing="$missing $name"
    fi
done
[ -z "$missing" ] || echo "Could not be installed (see above):$missing. What needs them is left out, and says so." >&2
