#!/bin/sh
# Makes .venv-livekit and .venv-pipecat: the frameworks that `make bench-peers` measures beside ours, each in an
# environment of its own, of the Python of .venv. Does nothing when nothing changed. LOCK=1 writes their pins again.
set -eu
cd "$(dirname "$0")/.."

lock() {
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet 'uv>=0.9'
    there=$(mktemp -d)
    cat >"$there/pyproject.toml" <<END
[project]
name = "peers"
version = "0"
requires-python = ">=3.11,<3.14"
dependencies = ["$2"]
[tool.uv]
environments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]
END
    .venv/bin/uv pip compile "$there/pyproject.toml" --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --custom-compile-command 'LOCK=1 sh scripts/peers.sh' \
        --output-file "requirements/peers-$1.txt"
    rm -rf "$there"
}

if [ -n "${LOCK:-}" ]; then
    lock livekit livekit-agents==1.8.9
    lock pipecat pipecat-ai==1.14.0
fi

for peer in livekit pipecat; do
    venv=.venv-$peer
    lock=requirements/peers-$peer.txt
    key="$(cksum <"$lock") $(pwd)"
    [ "$(cat "$venv/installed" 2>/dev/null)" != "$key" ] || continue
    echo "Installing $(grep -c '^[a-z]' "$lock") pinned packages into $venv ($lock) ..."
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    # Wheels alone, but for docopt, which has none. A peer that cannot be had is left out of the table, which says so.
    if "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --only-binary :all: \
        --no-binary docopt --require-hashes -r "$lock"; then
        echo "$key" >"$venv/installed"
    else
        echo "$lock could not be installed (see above): $peer is not measured." >&2
    fi
done
