"""Real models with thousands of rows each, for ``judge_error.py`` and ``zoo.py``: made by one command, none committed.

    python tests/bench/real_models.py DIR [--only a,b]

Models and what their rows are made of come out of packages on PyPI, pinned by version and SHA-256. DIR gets
``NAME-float.onnx`` or ``.tflite``, ``NAME-calibration.npz``, ``NAME-heldout.npz`` (with ``groups``, the recording of
each row; rows are in order of time) and ``NAME-recipe.toml``. Takes two minutes and 2 GB. One more, ``recogniser`` of
860 nodes for ``search_seconds.py``, is fetched and made only where ``--only`` names it.
"""

import argparse
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.real_rows import file_pieces, photo_pans, speech_frames, text_lines, upright_lines  # after the path above

Recording = Mapping[str, NDArray[Any]]
"""The rows of one recording, in order of time: input name → [n, ...]."""
_WHEELS = """
espeakng-loader==0.2.4 --hash=sha256:08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d
magika==1.0.3 --hash=sha256:3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529
matplotlib==3.10.3 --hash=sha256:fdfa07c0ec58035242bc8b2c8aae37037c9a886370eef6850703d7583e19964b
mediapipe==0.10.14 --hash=sha256:a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4
nudenet==3.4.2 --hash=sha256:5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331
rapidocr==3.10.0 --hash=sha256:2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050
scikit-image==0.26.0 --hash=sha256:74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af
silero-vad==6.2.3 --hash=sha256:7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8
"""
_MORE = {
    "recogniser": "rapidocr-onnxruntime==1.4.4 "
    "--hash=sha256:971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf\n"
}
"""Wheels of the models that are made only where they are asked for."""
_SOURCES = "pygments==2.19.2 --hash=sha256:636cb2477cec7f8952536970bc533bc43743542f70392ae026374600add5b887\n"
_FOR_PYTHON = ("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_24_x86_64",
               "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64")  # fmt: skip
_CALIBRATION = 0.15
"""Share of the recordings; the others are held out."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model of a package, and what makes its rows.

    Attributes:
        file: the model in the unpacked packages.
        recordings: of the folder with the unpacked packages and the model.
        recipe: as of ``edge-agent quantize``.
    """

    file: str
    recordings: Callable[[Path, Path], list[Recording]]
    recipe: str


def _pans(
    name: str, height: int, width: int, recordings: int, *, channels_first: bool
) -> Callable[[Path, Path], list[Recording]]:
    def made(packages: Path, _model: Path) -> list[Recording]:
        pans = photo_pans(packages / "skimage" / "data", height, width, recordings)
        return [{name: np.ascontiguousarray(pan.transpose(0, 3, 1, 2)) if channels_first else pan} for pan in pans]

    return made


SOURCES: Mapping[str, Source] = {
    "filetype": Source(
        "magika/models/standard_v3_3/model.onnx",
        lambda packages, _: [{"bytes": one} for one in file_pieces(packages / "pygments-2.19.2")],
        '[output]\nkind = "classes"\n',
    ),
    "textdirection": Source(
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        lambda packages, _: text_lines(packages),
        '[output]\nkind = "classes"\n',
    ),
    "voice": Source(
        "silero_vad/data/silero_vad_openvino_16k.onnx",
        speech_frames,
        '[output]\nkind = "binary"\n',
    ),
    "iris": Source(
        "mediapipe/modules/iris_landmark/iris_landmark.tflite",
        _pans("input_1", 64, 64, 90, channels_first=False),
        '[output]\nkind = "regression"\n',
    ),
    "bodyparts": Source(
        "nudenet/320n.onnx",
        _pans("images", 160, 160, 75, channels_first=True),
        '[output]\nkind = "detection_head"\nthreshold = 0.2\n',
    ),
}


MORE: Mapping[str, Source] = {
    "recogniser": Source(
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        lambda packages, _: [dict(page) for page in upright_lines(packages)],
        '[output]\nkind = "sequence"\n',
    ),
}
"""Models that are made only where they are asked for."""


def fetch(folder: Path, names: Collection[str] = ()) -> Path:
    """The packages, unpacked in ``folder``; those that are there are not fetched again. ``names``: of models.

    Raises:
        subprocess.CalledProcessError: pip could not get one, or it is not what was pinned.
    """
    wheels, unpacked = folder / "wheels", folder / "unpacked"
    more = "".join(wheel for name, wheel in _MORE.items() if name in names)
    for pinned, how in ((_WHEELS + more, ("--only-binary=:all:", *_FOR_PYTHON)), (_SOURCES, ("--no-binary=:all:",))):
        requirements = folder / "requirements.txt"
        requirements.write_text(pinned, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *how]
        subprocess.run([*command, "--dest", str(wheels), "--requirement", str(requirements)], check=True)
    for package in sorted(wheels.iterdir()):
        if package.suffix == ".whl":
            zipfile.ZipFile(package).extractall(unpacked)  # noqa: S202  # its hash is pinned
        else:
            with tarfile.open(package) as archive:
                archive.extractall(unpacked, filter="data")  # of a pinned hash
    return unpacked


def stored(folder: Path, name: str, recordings: list[Recording]) -> None:
    """Write both sets: whole recordings, drawn with a seed, make one or the other."""
    order = np.random.default_rng(0).permutation(len(recordings))
    cut = max(1, round(_CALIBRATION * len(order)))
    for which, taken in (("calibration", order[:cut]), ("heldout", order[cut:])):
        chosen = [recordings[number] for number in sorted(taken)]
        arrays = {key: np.concatenate([one[key] for one in chosen]) for key in chosen[0]}
        lengths = [len(next(iter(one.values()))) for one in chosen]
        np.savez(folder / f"{name}-{which}.npz", **arrays, groups=np.repeat(np.arange(len(chosen)), lengths))
        print(f"{name} {which}: {sum(lengths)} rows of {len(chosen)} recordings")


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description="Real models with thousands of rows each.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="these models, with commas between")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in options.only.split(",") if name] or list(SOURCES)
    packages = fetch(options.folder, names)
    for name in names:
        source = {**SOURCES, **MORE}[name]
        model = packages / source.file
        (options.folder / f"{name}-float{model.suffix}").write_bytes(model.read_bytes())
        (options.folder / f"{name}-recipe.toml").write_text(source.recipe, encoding="utf-8")
        stored(options.folder, name, source.recordings(packages, model))


if __name__ == "__main__":
    main()
