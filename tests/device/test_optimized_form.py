"""Which device an optimised form is for, on made-up machines."""

from pathlib import Path

import pytest

from edge_agent.device.optimized_form import form_folder, form_key, processor_known

X86 = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512_vnni\nbugs\t\t: spectre_v1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd0b\n"


def key(folder: Path, cpuinfo: str, version: str = "1.32.0") -> str:
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/cpuinfo").write_text(cpuinfo)
    return form_key("onnxruntime", version, folder)


@pytest.mark.parametrize(
    ("before", "after"),
    [(X86, X86.replace(" avx512_vnni", "")), (ARM, ARM.replace(" asimddp", "")), (X86, ARM)],
)
def test_other_instructions_are_another_device(tmp_path: Path, before: str, after: str) -> None:
    assert key(tmp_path, before) != key(tmp_path, after)


def test_another_version_of_the_runtime_is_another_device(tmp_path: Path) -> None:
    keys = {key(tmp_path, X86, version) for version in ("1.31.0", "1.32.0")}

    assert len(keys) == len({form_folder(one) for one in keys}) == 2


def test_the_order_of_instructions_and_the_number_of_processors_say_nothing(tmp_path: Path) -> None:
    assert key(tmp_path, X86) == key(tmp_path, X86.replace("sse2 avx2", "avx2 sse2") + "\n" + X86)


def test_processors_that_a_power_mode_takes_offline_leave_the_key_as_it_is(tmp_path: Path) -> None:
    """Also where they have other instructions than the first one."""
    assert key(tmp_path, ARM) == key(tmp_path, ARM + "\n" + ARM.replace(" asimddp", ""))


def test_a_program_knows_whether_it_may_read_what_the_processor_is(tmp_path: Path) -> None:
    assert not processor_known(tmp_path)
    key(tmp_path, ARM)
    assert processor_known(tmp_path)


def test_a_machine_that_tells_nothing_has_a_key_all_the_same(tmp_path: Path) -> None:
    runtime, version, _, instructions = form_key("onnxruntime", "1.32.0", tmp_path).split()

    assert (runtime, version, len(instructions)) == ("onnxruntime", "1.32.0", 16)
