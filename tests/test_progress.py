import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from warmstart.progress import counted, duration, one_line

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "short",
        "a word " * 40,
        "two\nlines\tand a tab",
        "\x1b[31mred\x07\x00",
        "\u202edrow",
        "漢字" * 30,
    ],
)
def test_a_text_is_cut_to_the_width_and_harmless(text: str) -> None:
    shown = one_line(text, 20)
    assert cell_len(shown) <= 20
    assert not re.search(r"[\x00-\x1f\x7f\u202e]", shown)
    if text == "short":
        assert shown == text
    if len(text) > 100:
        assert shown.endswith("…")


def test_off_a_terminal_there_are_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # colours for pipes; a bar would still be in the way
    now = [0.0]
    monkeypatch.setattr("warmstart.progress.time.monotonic", lambda: now[0])
    with counted("decoding", 100) as advance:
        for _ in range(100):
            now[0] += 1
            advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "decoding: 30 of 100, 1 min 10 s left",
        "decoding: 60 of 100, 40 s left",
        "decoding: 90 of 100, 10 s left",
    ]


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_there_is_a_bar_and_no_colour_if_so_wished(no_color: bool) -> None:
    code = (
        "from warmstart.progress import counted\n"
        "with counted('decoding', 2) as advance:\n"
        "    advance(1); advance(1)\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color"}
    environment |= {"NO_COLOR": "1"} if no_color else {}
    for name in ("FORCE_COLOR", *([] if no_color else ["NO_COLOR"])):
        environment.pop(name, None)
    finished = subprocess.run(
        [sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    written = os.read(ours, 100_000).decode()
    os.close(ours)
    assert (finished.returncode, finished.stdout) == (0, b"")
    assert "decoding" in written
    assert "\x1b[?25h" in written  # the cursor is back
    colours = re.findall(r"\x1b\[[\d;]*\b(?:3[0-8]|9[0-7])\b[\d;]*m", written)
    assert bool(colours) is not no_color
