import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.providers.local.webrtc import WebRTCVAD
from tests.providers.local.voices import audible, detect, microphone, segments, silence, speech

SENTENCE = "Please add milk and bread to my shopping list."


def test_a_sentence_is_one_segment_where_it_sounds() -> None:
    spoken = speech(SENTENCE)
    found = segments(detect(WebRTCVAD(), microphone(silence(1.0) + spoken + silence(1.0), start=100.0)))
    assert len(found) == 1
    onset, last_voiced = found[0]
    assert onset == pytest.approx(101.0, abs=0.1)
    assert last_voiced == pytest.approx(101.0 + audible(spoken), abs=0.15)


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no mode 4"):
        WebRTCVAD(mode=4)


def test_it_says_what_it_is() -> None:
    info = WebRTCVAD().describe()
    assert (info.descriptor, info.installed, info.missing) == ("local/webrtc", True, None)
    assert info.version is not None


PROGRAM = """
from agent_runtime.errors import UsageError
from agent_runtime.providers.local.webrtc import WebRTCVAD
vad = WebRTCVAD()
info = vad.describe()
try:
    vad.stream()
except UsageError as error:
    assert str(error) == info.missing and not info.installed
    print(error)
"""


def without_site_packages(*folders: Path) -> str:
    """What a process says that finds only the standard library, this package, and `folders`."""
    paths = [str(Path.cwd()), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    program = f"import sys; sys.path[:0] = {[*paths, *map(str, folders)]!r}\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def distribution(folder: Path, name: str, version: str, module: str) -> Path:
    """Lay out an installed distribution that has one module, `webrtcvad`."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "webrtcvad.py").write_text(module)
    return folder


def test_nothing_installed_names_the_extra() -> None:
    said = without_site_packages()
    assert "webrtcvad-wheels" in said
    assert "pip install 'agent-runtime[local]'" in said


def test_the_broken_package_is_refused_with_the_way_out(tmp_path: Path) -> None:
    broken = distribution(tmp_path / "a", "webrtcvad", "2.0.10", "import pkg_resources\n")
    said = without_site_packages(broken)
    assert "pkg_resources" in said
    assert "pip uninstall -y webrtcvad" in said


def test_the_broken_package_is_refused_also_beside_the_right_one(tmp_path: Path) -> None:
    right = distribution(tmp_path, "webrtcvad-wheels", "2.0.14", "")
    both = distribution(right, "webrtcvad", "2.0.10", "import pkg_resources\n")
    assert "pip uninstall -y webrtcvad" in without_site_packages(both)
