#!/bin/sh
# Writes requirements/*.txt: for each Python what `make run` needs, and what `make test` needs beside it.
# Versions that are there are kept where they still fit; UPGRADE=1 takes the newest.
set -eu
cd "$(dirname "$0")/.."

[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet 'uv>=0.9'
uv=$(pwd)/.venv/bin/uv
mkdir -p requirements
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
ln -s "$(pwd)/requirements" "$there/requirements"

# One Python on two systems. Left to itself uv also asks whether every later Python could be served.
compile() {
    version=$1
    output=requirements/$2-py$(echo "$version" | tr -d .).txt
    shift 2
    {
        cat pyproject.toml
        echo "[tool.uv]"
        echo "environments = ["
        echo "  \"sys_platform == 'linux' and python_version == '$version'\","
        echo "  \"sys_platform == 'darwin' and python_version == '$version'\","
        echo "]"
    } >"$there/pyproject.toml"
    (cd "$there" && "$uv" pip compile pyproject.toml --quiet --universal --python-version "$version" \
        --only-binary :all: --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' \
        ${UPGRADE:+--upgrade} --output-file "$output" "$@")
    # Every line says again which Python and systems the file is for.
    here="(python_full_version < '[0-9.]*' and sys_platform == '[a-z]*')"
    sed -i.old -e "s/ ; $here or $here//" "$output"
    rm -f "$output.old"
}

for version in 3.11 3.12 3.13; do
    compile $version run --extra sound --extra local --group build
    compile $version test --all-extras --group dev --group engines-test --group models-test \
        --constraint "requirements/run-py$(echo $version | tr -d .).txt"
done
wc -l requirements/*.txt
