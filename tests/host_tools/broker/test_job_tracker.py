"""What a host makes of the messages about one job."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.wire.messages import DeviceStatus, JobReport, Refused
from host_tools.broker.job_tracker import End, Follow, exit_code

JOB = "0123456789abcdef"


def report(
    device: str = "pi-01", status: str = "in_progress", *, job: str = JOB, seq: int = 1, boot: str = "a"
) -> JobReport:
    return JobReport(
        device=device, job=job, model="har", version=1, stage="capture", status=status, seq=seq, boot_id=boot
    )  # fmt: skip


def status(*, online: bool = True, refused_job: str = "", count: int = 0, boot: str = "a") -> DeviceStatus:
    refused = Refused("har", refused_job, "untrusted", "no signature") if refused_job else None
    return DeviceStatus(device="pi-01", online=online, boot_id=boot, refused=refused, refused_count=count)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([End.SUCCEEDED], 0),
        ([End.SUCCEEDED, End.PENDING], 7),
        ([End.RUNNING], 7),
        ([End.CANCELED, End.PENDING], 8),
        ([End.REJECTED, End.CANCELED, End.PENDING], 4),
        ([End.FAILED, End.REJECTED, End.CANCELED], 5),
        ([End.REFUSED, End.FAILED, End.REJECTED, End.CANCELED, End.PENDING], 6),
    ],
)
def test_the_first_that_applies_is_the_exit_code(ends: list[End], code: int) -> None:
    assert exit_code(ends) == code
    assert exit_code(reversed(ends)) == code


def test_a_device_is_pending_until_it_reports() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()})

    assert follow.devices["pi-01"].end is End.PENDING
    assert not follow.ended

    follow.take(report())

    assert follow.devices["pi-01"].end is End.RUNNING

    follow.take(report(status="succeeded", seq=2))

    assert follow.ended
    assert follow.exit_code == 0


def test_a_report_of_another_job_or_device_changes_nothing() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()})

    assert follow.take(report(job="f" * 16, status="failed")) is None
    assert follow.take(report(device="pi-02", status="failed")) is None
    assert follow.exit_code == 7


def test_a_new_member_of_a_group_is_followed_too() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()}, open_ended=True)

    follow.take(report(status="succeeded"))
    follow.take(report(device="pi-02", status="rejected"))

    assert follow.exit_code == 4


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()})

    follow.take(report(status="succeeded", seq=5))

    assert follow.take(report(seq=4)) is None
    assert follow.ended
    assert follow.take(report(status="rejected", seq=1, boot="b")) is not None, "a restart counts from the beginning"


def test_a_refusal_counts_only_if_it_is_news() -> None:
    before = status(refused_job=JOB, count=3)
    follow = Follow(JOB, "har", {"pi-01": before})

    follow.take(before)

    assert follow.devices["pi-01"].end is End.PENDING

    follow.take(status(refused_job="f" * 16, count=4))

    assert follow.devices["pi-01"].end is End.PENDING

    follow.take(status(refused_job=JOB, count=5))

    assert follow.devices["pi-01"].end is End.REFUSED
    assert follow.devices["pi-01"].code == "untrusted"
    assert follow.exit_code == 6


def test_a_first_refusal_of_a_device_that_never_spoke_counts() -> None:
    follow = Follow(JOB, "har", {"pi-01": None})

    follow.take(status(refused_job=JOB, count=1))

    assert follow.exit_code == 6


def test_a_device_that_cannot_read_what_it_refuses_names_the_model() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()})
    nameless = DeviceStatus(
        device="pi-01", online=True, boot_id="a", refused=Refused("har", "", "untrusted"), refused_count=1
    )

    follow.take(nameless)

    assert follow.exit_code == 6


def test_a_status_that_nobody_knows_is_no_success() -> None:
    follow = Follow(JOB, "har", {"pi-01": status()})

    follow.take(report(status="dancing"))

    assert follow.exit_code == 5


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(list(End)), min_size=1))
def test_zero_means_succeeded_everywhere(ends: list[End]) -> None:
    assert (exit_code(ends) == 0) == (set(ends) == {End.SUCCEEDED})
