#!/bin/sh
# Makes .venv what a lock says: scripts/venv.sh run|test. Needs a Python and nothing else; does nothing when nothing changed.
# PYTHON=... chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."
what=$1
venv=.venv
py=$venv/bin/python

fail() {
    echo "$*" >&2
    exit 2
}

# The versions that there is a lock for. A name on the path need not run: version managers leave such.
supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

minor() {
    "$1" -c 'import sys; print("%d%d" % sys.version_info[:2])'
}

find_python() {
    without_venv=
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        supported "$name" || continue
        if "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
        without_venv=$name
    done
    if [ -n "$without_venv" ]; then
        dotted=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "Python $dotted is here without its venv module: run 'apt install python$dotted-venv', then try again."
    elif [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 that runs."
    fi
    fail "No Python 3.11, 3.12 or 3.13 runs here: install one, or name it with 'make $what PYTHON=/path/to/python3.13'."
}

if [ -e $venv ]; then
    if ! supported $py || { [ -n "${PYTHON:-}" ] && supported "$PYTHON" && [ "$(minor "$PYTHON")" != "$(minor $py)" ]; }; then
        rm -rf $venv
    fi
fi
if [ ! -e $venv ]; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version) ..."
    "$python" -m venv $venv
fi

# What an installation came from. The folder is part of it: an environment that was moved points to where it was.
key() {
    echo "$(cat "requirements/$1-py$version.txt" pyproject.toml | cksum) $(pwd)"
}

version=$(minor $py)
[ "$(cat $venv/installed-"$what" 2>/dev/null)" != "$(key "$what")" ] || exit 0

lock=requirements/$what-py$version.txt
$py -m pip --version >/dev/null 2>&1 || $py -m ensurepip >/dev/null
echo "Installing $(grep -c '^[a-z]' "$lock") pinned packages ($lock) ..."
rm -f $venv/installed-*
pip="$py -m pip --disable-pip-version-check install --quiet --no-deps"
# Wheels alone: nothing is compiled here.
$pip --only-binary :all: --require-hashes -r "$lock" ||
    fail "The packages in $lock could not be installed (see above): is there a network, or a wheel for this machine?"
$pip --no-build-isolation --editable .
# All that a run needs stands in the tests' lock too, at the same versions.
key run >$venv/installed-run
[ "$what" = run ] || key "$what" >"$venv/installed-$what"
