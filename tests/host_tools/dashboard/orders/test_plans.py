import pytest
from starlette.datastructures import FormData, QueryParams

from edge_agent.errors import ConfigError
from edge_agent.wire.messages import DeviceStatus, JobReport
from edge_agent.wire.telemetry import ModelState
from host_tools.dashboard.orders import asking, plans
from host_tools.dashboard.orders.plans import Release
from host_tools.fleet.device_state import DeviceState, JobEnd

JOB = "3f2a9c0d1e5b7a86"


def device(name: str, *, active: int = 0, previous: int = 0, progress: float | None = None) -> DeviceState:
    state = DeviceState(name)
    state.status = DeviceStatus(device=name, online=True)
    if active:
        state.models["har"] = ModelState(
            device=name, model="har", active_version=active, previous_version=previous, progress=progress, p50_ms=2.0,
            agreement=0.97, model_bytes=1000, job=JOB,
        )  # fmt: skip
    return state


def report(status: str, version: int = 2) -> JobReport:
    results = {"chosen": {"latency_p50_ms": 1.5, "agreement": 0.99, "size_bytes": 900}}
    return JobReport(
        device="pi-01", job=JOB, model="har", version=version, stage="activate", status=status, results=results
    )


def no_report(_device: str, _job: str) -> None:
    return None


def ended(status: str, version: int = 2, started: float = 1.0) -> JobEnd:
    return JobEnd("har", version, status, "", started)


def test_a_rollback_names_both_versions_with_the_numbers_that_they_were_judged_by() -> None:
    devices = [device("pi-01", active=3, previous=2), device("pi-02", active=3), device("pi-03")]
    devices[0].jobs |= {
        "b" * 16: ended("rejected", started=9.0),
        JOB: ended("succeeded"),
        "c" * 16: ended("succeeded", 3),
    }
    asked: list[tuple[str, str]] = []

    def told(name: str, job: str) -> JobReport:
        asked.append((name, job))
        return report("succeeded")

    lines = plans.rollback(devices, "har", told)

    assert asked == [("pi-01", JOB)], "one report is read for a device, and none where there is nothing to go back to"
    assert lines[0].now == Release(version=3, latency_ms=2.0, agreement=0.97, size_bytes=1000)
    assert lines[0].after == Release(version=2, latency_ms=1.5, agreement=0.99, size_bytes=900)
    assert [line.why_not for line in lines] == ["", "has no release before this one", "runs no har"]
    assert plans.by_version(lines) == {3: ["pi-01"]}


def test_before_a_recalibration_the_same_version_had_other_numbers() -> None:
    one = device("pi-01", active=2, previous=2)
    one.jobs |= {"b" * 16: ended("succeeded", started=9.0), JOB: ended("succeeded", started=5.0)}
    asked: list[str] = []

    plans.rollback([one], "har", lambda _name, job: asked.append(job))

    assert asked == [JOB]


def test_of_a_release_whose_report_is_gone_only_the_version_is_known() -> None:
    (line,) = plans.rollback([device("pi-01", active=3, previous=2)], "har", no_report)

    assert line.after == Release(version=2)


def test_a_result_that_makes_no_sense_has_no_numbers() -> None:
    hostile = JobReport(
        device="pi-01", job=JOB, model="har", version=2, stage="", status="succeeded",
        results={"chosen": {"latency_p50_ms": "<script>", "agreement": [], "size_bytes": None}},
    )  # fmt: skip
    one = device("pi-01", active=3, previous=2)
    one.jobs[JOB] = ended("succeeded")

    (line,) = plans.rollback([one], "har", lambda _name, _job: hostile)

    assert line.after == Release(version=2)


def test_devices_of_different_versions_are_ordered_apart() -> None:
    devices = [device("pi-01", active=3, previous=2), device("pi-02", active=5), device("pi-03", active=3)]

    assert plans.by_version(plans.recalibrate(devices, "har")) == {3: ["pi-01", "pi-03"], 5: ["pi-02"]}


def test_what_is_under_way_is_not_recalibrated() -> None:
    (line,) = plans.recalibrate([device("pi-01", active=3, progress=0.5)], "har")

    assert line.why_not == f"job {JOB} of it is under way"


def test_a_job_is_canceled_where_it_is_under_way() -> None:
    devices = [device("pi-01"), device("pi-02"), device("pi-03")]
    devices[0].jobs[JOB], devices[1].jobs[JOB] = ended("in_progress"), ended("rejected")

    lines = plans.cancel(devices, JOB)

    assert [line.why_not for line in lines] == ["", "the job has ended there as rejected", f"has no job {JOB}"]


def test_models_are_those_that_run_somewhere() -> None:
    assert plans.models_of([device("pi-01", active=3), device("pi-02")]) == ["har"]


def test_a_query_says_who_and_what() -> None:
    asked = asking.read(
        QueryParams("action=rollback&device=pi-01&device=pi-02&device=pi-01&group=lab&model=har&version=3")
    )

    assert (asked.action, asked.devices, asked.groups, asked.model) == ("rollback", ("pi-01", "pi-02"), ("lab",), "har")
    assert [str(scope) for scope in asked.scopes] == ["d/pi-01", "d/pi-02", "g/lab"]
    assert asked.version == 3


@pytest.mark.parametrize("query", ["device=%2B", "group=a/b", "model=%23", "job=..%2F..", f"device={'x' * 100}"])
def test_a_name_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(ConfigError):
        asking.read(QueryParams(query))


def test_what_is_no_action_or_version_is_none() -> None:
    asked = asking.read(QueryParams("action=format&version=-1"))

    assert (asked.action, asked.version) == (None, 0)


def test_a_form_names_each_device_with_the_version_that_was_shown() -> None:
    form = FormData([("target", "3:pi-01"), ("target", "3:pi-02"), ("target", "5:pi-03")])

    assert asking.targets(form) == {3: ["pi-01", "pi-02"], 5: ["pi-03"]}
    with pytest.raises(ConfigError):
        asking.targets(FormData([("target", "pi-01")]))


def test_nobody_orders_more_devices_than_a_page_names() -> None:
    with pytest.raises(ConfigError, match="choose a group"):
        asking.read(QueryParams([("device", f"pi-{number}") for number in range(asking.MOST_DEVICES + 1)]))
