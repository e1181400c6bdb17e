#!/bin/sh
# Installs what the tests make a virtual sound card, a caller's voice and a recorder of: PulseAudio, flite, sox, PortAudio.
set -eu

wanted="flite libasound2-plugins libportaudio2 pulseaudio pulseaudio-utils sox"

if ! command -v apt-get >/dev/null 2>&1; then
    echo "No virtual sound card: install PulseAudio, its ALSA plugin, flite, sox and PortAudio with your package manager." >&2
    exit 1
fi
missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "No virtual sound card: run 'sudo apt-get install --no-install-recommends$missing'." >&2
    exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086  # a list of words
if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    echo "No virtual sound card: apt-get could not install$missing." >&2
    exit 1
fi
rm -f "$log"
