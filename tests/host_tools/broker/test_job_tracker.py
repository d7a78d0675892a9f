"""What a host makes of the messages about one job."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.wire.messages import DeviceStatus, JobReport, Refused
from host_tools.broker.job_tracker import DeviceOutcome, JobTracker, exit_code

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
        ([DeviceOutcome.SUCCEEDED], 0),
        ([DeviceOutcome.SUCCEEDED, DeviceOutcome.PENDING], 7),
        ([DeviceOutcome.RUNNING], 7),
        ([DeviceOutcome.CANCELED, DeviceOutcome.PENDING], 8),
        ([DeviceOutcome.INACTIVE, DeviceOutcome.SUCCEEDED], 8),
        ([DeviceOutcome.IGNORED, DeviceOutcome.SUCCEEDED], 6),
        ([DeviceOutcome.REJECTED, DeviceOutcome.CANCELED, DeviceOutcome.PENDING], 4),
        ([DeviceOutcome.FAILED, DeviceOutcome.REJECTED, DeviceOutcome.CANCELED], 5),
        (
            [
                DeviceOutcome.REFUSED,
                DeviceOutcome.FAILED,
                DeviceOutcome.REJECTED,
                DeviceOutcome.CANCELED,
                DeviceOutcome.PENDING,
            ],
            6,
        ),
    ],
)
def test_the_first_that_applies_is_the_exit_code(ends: list[DeviceOutcome], code: int) -> None:
    assert exit_code(ends) == code
    assert exit_code(reversed(ends)) == code


def test_a_device_is_pending_until_it_reports() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()})

    assert tracker.devices["pi-01"].end is DeviceOutcome.PENDING
    assert not tracker.ended

    tracker.take(report())

    assert tracker.devices["pi-01"].end is DeviceOutcome.RUNNING

    tracker.take(report(status="succeeded", seq=2))

    assert tracker.ended
    assert tracker.exit_code == 0


def test_what_the_host_foresaw_gives_way_to_what_the_device_does() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status(), "pi-02": status()})
    silent, rolled_back = tracker.devices["pi-01"], tracker.devices["pi-02"]
    silent.ignored, rolled_back.inactive = "why it is silent", "why the success is none"
    tracker.take(report("pi-02", "succeeded"))

    assert (silent.end, silent.message) == (DeviceOutcome.IGNORED, "why it is silent")
    assert (rolled_back.end, rolled_back.message) == (DeviceOutcome.INACTIVE, "why the success is none")
    assert tracker.ended

    for device in ("pi-01", "pi-02"):
        tracker.take(report(device, seq=2))

    assert [one.end for one in tracker.devices.values()] == [DeviceOutcome.RUNNING, DeviceOutcome.RUNNING]

    for device in ("pi-01", "pi-02"):
        tracker.take(report(device, "succeeded", seq=3))

    assert tracker.exit_code == 0


def test_a_report_of_another_job_or_device_changes_nothing() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()})

    assert tracker.take(report(job="f" * 16, status="failed")) is None
    assert tracker.take(report(device="pi-02", status="failed")) is None
    assert tracker.exit_code == 7


def test_a_new_member_of_a_group_is_followed_too() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()}, open_ended=True)

    tracker.take(report(status="succeeded"))
    tracker.take(report(device="pi-02", status="rejected"))

    assert tracker.exit_code == 4


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()})

    tracker.take(report(status="succeeded", seq=5))

    assert tracker.take(report(seq=4)) is None
    assert tracker.ended
    assert tracker.take(report(status="rejected", seq=1, boot="b")) is not None, "a restart counts from the beginning"


def test_a_refusal_counts_only_if_it_is_news() -> None:
    before = status(refused_job=JOB, count=3)
    tracker = JobTracker(JOB, "har", {"pi-01": before})

    tracker.take(before)

    assert tracker.devices["pi-01"].end is DeviceOutcome.PENDING

    tracker.take(status(refused_job="f" * 16, count=4))

    assert tracker.devices["pi-01"].end is DeviceOutcome.PENDING

    tracker.take(status(refused_job=JOB, count=5))

    assert tracker.devices["pi-01"].end is DeviceOutcome.REFUSED
    assert tracker.devices["pi-01"].code == "untrusted"
    assert tracker.exit_code == 6


def test_a_refusal_is_news_though_the_agent_was_restarted_and_counted_as_far_again() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status(refused_job="f" * 16, count=2)})

    tracker.take(status(refused_job=JOB, count=2))

    assert tracker.exit_code == 6


def test_a_first_refusal_of_a_device_that_never_spoke_counts() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": None})

    tracker.take(status(refused_job=JOB, count=1))

    assert tracker.exit_code == 6


def test_a_device_that_cannot_read_what_it_refuses_names_the_model() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()})
    nameless = DeviceStatus(
        device="pi-01", online=True, boot_id="a", refused=Refused("har", "", "untrusted"), refused_count=1
    )

    tracker.take(nameless)

    assert tracker.exit_code == 6


def test_a_status_that_nobody_knows_is_no_success() -> None:
    tracker = JobTracker(JOB, "har", {"pi-01": status()})

    tracker.take(report(status="dancing"))

    assert tracker.exit_code == 5


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(list(DeviceOutcome)), min_size=1))
def test_zero_means_succeeded_everywhere(ends: list[DeviceOutcome]) -> None:
    assert (exit_code(ends) == 0) == (set(ends) == {DeviceOutcome.SUCCEEDED})
