"""The picture in the README: what `symposia demo` prints, as SVG. `python -m tools.picture`."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 112
TARGET = Path("docs/demo.svg")
FONT = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def printed() -> str:
    """What the demonstration prints on a colour terminal."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "symposia.cli", "demo"]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def drawn(text: str) -> str:
    """The text in a terminal window, without outside references."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(text.rstrip()))
    return console.export_svg(title="make demo", code_format=FONT.sub("", CONSOLE_SVG_FORMAT))


if __name__ == "__main__":
    TARGET.write_text(drawn(printed()), encoding="utf-8")
    print(TARGET)
