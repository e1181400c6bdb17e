#!/bin/sh
# Installs aimock, a second implementation of the services' wires, into .venv-aimock, of the pin and the sum in
# requirements/aimock/package-lock.json. It needs Node 20 and npm; without them nothing is done, and its tests are skipped.
set -eu
cd "$(dirname "$0")/.."
there=.venv-aimock
lock=requirements/aimock/package-lock.json

major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
    echo "aimock needs Node 20 or later, and npm; here is Node ${major:-none}." >&2
    exit 0
fi
[ "$(cat "$there/installed" 2>/dev/null)" != "$(cksum <"$lock")" ] || exit 0
echo "Installing aimock into $there ($lock) ..."
rm -rf "$there"
mkdir "$there"
cp requirements/aimock/package.json "$lock" "$there"
(cd "$there" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
cksum <"$lock" >"$there/installed"
