"""The interface through which an application on the device uses the active release of a model.

    import edge_agent.serving

    model = edge_agent.serving.load("har")
    scores = model(window)        # raw samples [size, channels], at the manifest's rate_hz

    stream = model.stream(rate_hz=104)          # or let the stream resample and cut the windows
    for scores in stream(samples):              # any number of new samples, [n, channels]
        ...

    for scores in model.stream():               # or read the agent's own sensor, if its config shares it
        ...

    seen = model.detections(frame[None])        # of a detector: seen.boxes, seen.scores, seen.classes

The model applies the manifest's steps, constants and state, and the release's runtime and threads, as when the release
was judged. A new activation, or a rollback, takes effect at the next call. If a new release cannot be loaded, the old
one keeps serving and :attr:`Model.problem` gives the reason. A release's optimised form is loaded if it fits the
runtime and processor of this process. The model reports inferences, latencies and failures to the agent
(:mod:`edge_agent.serving.meter`), but never samples or answers. Only numpy and the release's runtime are imported; the
code that decodes a detector's boxes is imported on first use.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.advice.permission import not_permitted
from edge_agent.backends import Array, Feeds
from edge_agent.errors import EdgeAgentError, LimitError, SourceError, StoreError
from edge_agent.process.heap import give_back
from edge_agent.serving.loaded import Loaded, Windows
from edge_agent.serving.meter import Meter
from edge_agent.serving.stream import Stream
from edge_agent.settings.device import DEFAULT_PATH, DEFAULT_STATE_DIR
from edge_agent.settings.sharing import source_folder
from edge_agent.state.release import RELEASE_FILE, Release, read_release
from edge_agent.state.releases import Releases
from edge_agent.strict import did_you_mean, read_toml
from edge_agent.wire.manifest import InputContract

if TYPE_CHECKING:
    from edge_agent.serving.detections import Detections
    from edge_agent.sources import Source

log = logging.getLogger(__name__)

FOLLOW_S = 1.0
_OPEN_WITHIN_S = 3.0


def load(
    name: str,
    *,
    state_dir: str | os.PathLike[str] | None = None,
    follow_s: float = FOLLOW_S,
    telemetry: bool = True,
) -> "Model":
    """Load the active release of the model ``name``.

    Args:
        name: the model's name, as in the manifest.
        state_dir: the agent's; None: from /etc/edge-agent/config.toml if that is readable, else /var/lib/edge-agent.
        follow_s: least seconds between two checks for a new active release; ``math.inf``: never check.
        telemetry: report the number of inferences, their latencies, errors and memory to this device's agent.

    Raises:
        StoreError: ``not_active``, ``release_corrupt``, or ``state_unreadable`` if the folder may not be read.
        ModelError: ``format_unsupported`` if the runtime is not installed here; or the runtime rejects the model.
        ContractError, RecipeError: model and manifest do not fit each other.
        ConfigError: the configuration is not valid TOML.
    """
    root = Path(_configured_state_dir() if state_dir is None else state_dir)
    return Model(Releases(root / "models", name), follow_s, telemetry=telemetry)


class Model:
    """The active release of one model name. Made by :func:`load`.

    Calls from several threads take turns. Carried state belongs to this object, so use one object per stream. A new
    release starts with its initial state. The first call after an activation waits while the new release is loaded, and
    both releases are in memory meanwhile.
    """

    def __init__(self, releases: Releases, follow_s: float, *, telemetry: bool) -> None:
        self._releases = releases
        self._follow_s = follow_s
        self._lock = Lock()
        link = _read_link(releases)
        self._seen: _Link | None = link
        self._loaded = Loaded(releases.path(link.name))
        self._problem: EdgeAgentError | None = None
        self._next_look = time.monotonic() + follow_s
        self._meter: Meter | None = None
        if telemetry:
            self._meter = Meter(releases.folder.parent.parent, self._loaded)
            self._meter.tell_at_end_of(self)

    def __call__(self, window: Windows) -> Array:
        """Run the model on one window; returns the output that the verdict judged.

        This is the output that ``[output]`` names (or the first of ``[[outputs]]``), else the model's first output,
        with its batch axis. For ``kind = "anomaly"`` it is the score; for a detector with separate outputs, one table
        [N, 6] of corners, score and class; for one without suppression, all candidates, boxes beside scores.

        Args:
            window: raw samples ``[size, channels]``, channels in the manifest's order; ``{input: window}`` if the
                inputs have different channels; pictures (uint8) ``[size, height, width, channels]``. The samples must
                have the manifest's ``rate_hz``, or the sensor's own rate if the manifest names none: resampling a
                single window would distort its ends. :meth:`stream` resamples.

        Raises:
            ContractError: ``shape_mismatch``, ``dtype_mismatch``, ``non_finite`` or ``input_missing``.
            ModelError: ``model_unsupported``: the model fails on these values.
        """
        with self._lock:
            self._follow()
            return self._loaded.judged(*self._run(window))

    def detections(self, window: Windows) -> "Detections":
        """The detections in one window, decoded and suppressed in the same way as for the verdict.

        Boxes of an output before suppression are mapped back into the camera's frame, see
        :class:`.detections.Detections`. Arguments and errors are those of :meth:`__call__`.

        Raises:
            ContractError: also ``shape_mismatch`` if the model is not a detector.
        """
        from edge_agent.serving.detections import read_detections  # noqa: PLC0415  # most models are not detectors

        with self._lock:
            self._follow()
            loaded = self._loaded
            return read_detections(loaded.judged(*self._run(window)), loaded.meaning, loaded.inputs.values())

    def run(self, window: Windows) -> dict[str, Array]:
        """All outputs by name, for one window; arguments and errors are those of :meth:`__call__`."""
        with self._lock:
            self._follow()
            _, outputs = self._run(window)
            return {spec.name: output for spec, output in zip(self._loaded.session.outputs, outputs, strict=True)}

    def stream(self, *, rate_hz: float | None = None, channels: Sequence[str] = ()) -> Stream:
        """A stream that takes samples as they arrive, instead of windows, or reads them from a shared sensor.

        The stream resamples to the manifest's ``rate_hz``, cuts windows of its size and hop, and runs the model on each
        window. Iterating reads the sensor that the manifest names, alongside its other readers. The sensor's
        ``[sources.NAME]`` must have ``keep_windows`` or ``share``.

        Args:
            rate_hz: rate of the given samples per second; None: the manifest's rate.
            channels: names of the given columns; left out: the manifest's channels.
        """
        return Stream(self._answer, self.reset, rate_hz, channels, self._sensor)

    def _sensor(self) -> "Source":
        """The shared sensor that feeds the model."""
        from edge_agent.sensing.subscribe import is_served, subscribe  # noqa: PLC0415  # most have samples to give

        name = next(iter(self._loaded.inputs.values())).source
        folder = source_folder(self._releases.folder.parent.parent, name)
        try:
            return subscribe(name, folder, open_within_s=_OPEN_WITHIN_S)
        except SourceError as error:
            if is_served(folder):
                raise
            text = f"if it is not shared yet, set share = true (or keep_windows) in [sources.{name}] of the config"
            raise SourceError(error.code, f"{error.message}; {text}, and restart edge-agent") from None

    def _answer(self, cut: Callable[[Loaded], Iterable[Windows]]) -> list[Array]:
        """The judged output for each window that ``cut`` makes for the currently active release."""
        with self._lock:
            self._follow()
            loaded = self._loaded
            return [loaded.judged(*self._run(window)) for window in cut(loaded)]

    def _run(self, window: Windows) -> tuple[Feeds, list[Array]]:
        """Run the model once and count the call. The time covers the runtime alone, as the verdict's latency does."""
        meter = self._meter
        if meter is None:
            return self._loaded.run(self._loaded.feeds(window))
        try:
            feeds = self._loaded.feeds(window)
            begun_ns = time.perf_counter_ns()
            answer = self._loaded.run(feeds)
            ended_ns = time.perf_counter_ns()
        except Exception:
            meter.failed()
            raise
        meter.answered(begun_ns, ended_ns)
        return answer

    def reset(self) -> None:
        """Declare a break before the next window: carried state is reset unless it has ``reset = "never"``."""
        with self._lock:
            self._loaded.reset()

    @property
    def release(self) -> Release:
        """The release that answers: version, verdict, method, runtime, threads."""
        return self._loaded.release

    @property
    def inputs(self) -> Mapping[str, InputContract]:
        """Model input → its contract: ``channels``, ``window.size``, ``rate_hz``. Another release may have others."""
        return self._loaded.inputs

    @property
    def stale(self) -> bool:
        """Whether the verdict's numbers do not apply to this process.

        The runtime here has another version, or the release's optimised form does not fit the runtime or processor, so
        that the model file answers. The agent rebuilds such a form by itself.
        """
        return self._loaded.stale

    @property
    def problem(self) -> EdgeAgentError | None:
        """Why :attr:`release` is not the active release; None if it is."""
        return self._problem

    def _follow(self) -> None:
        """Switch to the active release if a check is due and the release can be loaded."""
        if time.monotonic() < self._next_look:
            return
        seen = None
        try:
            seen = _read_link(self._releases)
            if seen != self._seen:  # an unchanged link would fail to load again
                self._take_up(seen.name)
        except EdgeAgentError as error:
            self._set_problem(error)
        except MemoryError:
            self._set_problem(
                LimitError(
                    "out_of_memory",
                    "the newly active release does not fit in memory beside the old one; restart the application",
                )
            )
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the new release, the old one keeps serving
            self._set_problem(EdgeAgentError("internal", f"{type(error).__name__}: {error}; please report it"))
        self._seen = seen
        self._next_look = time.monotonic() + self._follow_s

    def _take_up(self, name: str) -> None:
        folder = self._releases.path(name)
        if read_release(folder) != self.release or self._loaded.form_problem:
            loaded = Loaded(folder)
            if loaded.release.name == self.release.name:
                loaded.go_on_with(self._loaded.carried)
            self._loaded = loaded
            if self._meter is not None:
                self._meter.serves(self._loaded)
            give_back()  # the old release leaves freed heap of half a release's size
            log.info("%s: now serving %s", self._releases.model, self.release.name)
        self._problem = None

    def _set_problem(self, error: EdgeAgentError) -> None:
        """Store a problem without its traceback, which holds frames; log it unless it repeats the last one."""
        problem = type(error)(error.code, f"{error.message}; {self.release.name} keeps serving")
        if str(problem) != str(self._problem):
            log.error("%s: %s", self._releases.model, problem)
        self._problem = problem


class _Link(NamedTuple):
    """The active release, the time of its activation, and of its last write, as its form may have been rebuilt."""

    name: str
    changed_ns: int
    written_ns: int


def _read_link(releases: Releases) -> _Link:
    link = releases.link
    try:
        name = link.readlink().name
        return _Link(name, link.lstat().st_mtime_ns, _written_ns(releases.path(name)))
    except (FileNotFoundError, NotADirectoryError):
        models = releases.folder.parent
        hint = did_you_mean(releases.model, (path.parent.name for path in models.glob("*/active")))
        text = f"no release of {releases.model!r} is active in {models.parent}{hint or '; push the model first'}"
        raise StoreError("not_active", text) from None
    except PermissionError:
        text = f"{not_permitted(link)}; make it readable for applications"
        raise StoreError("state_unreadable", text) from None
    except OSError as error:
        raise StoreError("state_unreadable", f"{link}: {error.strerror}; make it readable for applications") from None


def _written_ns(folder: Path) -> int:
    try:
        return (folder / RELEASE_FILE).stat().st_mtime_ns
    except OSError:  # the reader of the file reports the error
        return 0


def _configured_state_dir() -> str:
    """The state directory from the configuration. No other key is checked: an application's version may know fewer."""
    table = read_toml(DEFAULT_PATH) if os.access(DEFAULT_PATH, os.R_OK) else {}
    return str(table.get("state_dir", DEFAULT_STATE_DIR))
