"""What ``make`` says while pip is at work."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIP = """\
Obtaining file:///home/pi/edge-agent
  Installing build dependencies: started
Collecting numpy<2,>=1.26.4 (from edge-agent-int8==0.1.0)
  Downloading numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl (18.3 MB)
Requirement already satisfied: pip in ./.venv/lib/python3.11/site-packages
Collecting paho-mqtt>=2.1 (from edge-agent-int8==0.1.0)
Installing collected packages: numpy, paho-mqtt, edge-agent-int8
Successfully installed edge-agent-int8-0.1.0
"""


def test_a_line_for_each_package_that_comes() -> None:
    make = ["make", "--silent", "--eval", "signs: ; @$(SIGNS)", "signs"]  # whichever is on the path

    said = subprocess.run(make, input=PIP, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    assert said.stderr == "  numpy\n  paho-mqtt\n  writing all of it to disk\n"
    assert said.stdout == ""
