"""What an application on the device calls to use the active release of a model.

    import edge_agent.serving

    model = edge_agent.serving.load("har")
    scores = model(window)        # raw samples [size, channels], at the manifest's rate_hz

    stream = model.stream(rate_hz=104)          # or let it be resampled and cut into windows here
    for scores in stream(samples):              # whatever has arrived, [n, channels]
        ...

    for scores in model.stream():               # or let the agent's own sensor be read, if its config shares it
        ...

    seen = model.detections(frame[None])        # of a detector: seen.boxes, seen.scores, seen.classes

The manifest's steps, constants and state, the release's runtime and threads are applied here, as they were when the
release was judged. A new activation, or a rollback, takes effect at the next call; what cannot be loaded leaves the
old release serving (:attr:`Model.problem`). Where the release has an optimised form for the runtime and processor of
this process, that is loaded. The agent is told how many inferences there were, how long they took and
how many failed (:mod:`edge_agent.serving.meter`), and nothing of samples or answers. Imports numpy and the release's
runtime, nothing of the agent's engine but what makes boxes of a detector's outputs, and that when they are asked for.
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
from edge_agent.state.releases import RELEASE_FILE, Release, Releases, read_release
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
        name: as in the manifest.
        state_dir: the agent's; None: as in /etc/edge-agent/config.toml if that can be read, else /var/lib/edge-agent.
        follow_s: look for another active release at most this often; ``math.inf``: never.
        telemetry: tell the agent of this device how many inferences there were, their latencies, errors and memory.

    Raises:
        StoreError: ``not_active``, ``release_corrupt``, or ``state_unreadable`` if the folder may not be read.
        ModelError: ``format_unsupported`` if the runtime is not installed here; or the runtime refuses the model.
        ContractError, RecipeError: model and manifest do not fit each other.
        ConfigError: the configuration is no TOML.
    """
    root = Path(_configured_state_dir() if state_dir is None else state_dir)
    return Model(Releases(root / "models", name), follow_s, telemetry=telemetry)


class Model:
    """The active release of one model name. Made by :func:`load`.

    Calls from several threads take turns. State that the model carries belongs to this object: one for each stream.
    Another release begins with its initial state. The call that notices it waits while it is loaded, and until then
    both are in memory.
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
        """What the verdict was about, for one window.

        That is the output that ``[output]`` names (or the first of ``[[outputs]]``), else the first, as the model
        gives it, batch axis included; of ``kind = "anomaly"`` the score; of a detector with separate outputs one
        table [N, 6]: corners, score, class; before suppression all its candidates, boxes beside scores.

        Args:
            window: raw samples ``[size, channels]``, channels in the order of the manifest's; ``{input: window}``
                where inputs have channels of their own; pictures (uint8) ``[size, height, width, channels]``. They
                are taken to be at the manifest's ``rate_hz``, and as the sensor's own where it names none: a window
                by itself cannot be resampled without a fault at its ends. :meth:`stream` does that.

        Raises:
            ContractError: ``shape_mismatch``, ``dtype_mismatch``, ``non_finite`` or ``input_missing``.
            ModelError: ``model_unsupported``: the model fails on these values.
        """
        with self._lock:
            self._follow()
            return self._loaded.judged(*self._run(window))

    def detections(self, window: Windows) -> "Detections":
        """What a detector sees in one window, decoded and suppressed as when the verdict was made.

        Boxes that are in the model's output before suppression are put back into the frame, whatever the steps made
        of it; see :class:`.detections.Detections`. Arguments and errors as of a call.

        Raises:
            ContractError: also ``shape_mismatch`` if the model is no detector.
        """
        from edge_agent.serving.detections import read_detections  # noqa: PLC0415  # most models are no detectors

        with self._lock:
            self._follow()
            loaded = self._loaded
            return read_detections(loaded.judged(*self._run(window)), loaded.meaning, loaded.inputs.values())

    def run(self, window: Windows) -> dict[str, Array]:
        """Every output by its name, for one window; arguments and errors as of a call."""
        with self._lock:
            self._follow()
            _, outputs = self._run(window)
            return {spec.name: output for spec, output in zip(self._loaded.session.outputs, outputs, strict=True)}

    def stream(self, *, rate_hz: float | None = None, channels: Sequence[str] = ()) -> Stream:
        """What to give samples to as they come, instead of windows; or, without giving any, what to iterate over.

        They are resampled to the manifest's ``rate_hz``, cut into windows of its size and hop, and answered. Iterating
        reads the sensor that the manifest names, beside everybody else who does: where its ``[sources.NAME]`` has
        ``keep_windows`` or ``share``.

        Args:
            rate_hz: samples a second of what you give; None: as many as the manifest wants.
            channels: the names of its columns; left out: as in the manifest.
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
        """What is judged of each window that ``cut`` makes for the release that is active now."""
        with self._lock:
            self._follow()
            loaded = self._loaded
            return [loaded.judged(*self._run(window)) for window in cut(loaded)]

    def _run(self, window: Windows) -> tuple[Feeds, list[Array]]:
        """One call of the model, counted. Timed is what the verdict's latency is of: the runtime's part, no steps."""
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
        """Say that the next window does not follow the last one: state begins anew unless ``reset = "never"``."""
        with self._lock:
            self._loaded.reset()

    @property
    def release(self) -> Release:
        """What answers, and what is known of it: version, verdict, method, runtime, threads."""
        return self._loaded.release

    @property
    def inputs(self) -> Mapping[str, InputContract]:
        """Model input → what its raw windows are: ``channels``, ``window.size``, ``rate_hz``; another may differ."""
        return self._loaded.inputs

    @property
    def stale(self) -> bool:
        """Whether the verdict's numbers are of something else than what answers in this process.

        Its runtime has another version, or the release's optimised form does not fit that runtime or this processor,
        so that the model file answers. The agent makes such a form anew by itself.
        """
        return self._loaded.stale

    @property
    def problem(self) -> EdgeAgentError | None:
        """Why :attr:`release` is not what is active now; None: it is."""
        return self._problem

    def _follow(self) -> None:
        """Take up what is active now, if it is time to look and if it can be loaded."""
        if time.monotonic() < self._next_look:
            return
        seen = None
        try:
            seen = _read_link(self._releases)
            if seen != self._seen:  # else what could not be loaded then cannot be now
                self._take_up(seen.name)
        except EdgeAgentError as error:
            self._say(error)
        except MemoryError:
            self._say(
                LimitError(
                    "out_of_memory",
                    "the release that is active now does not fit beside this one; restart the application",
                )
            )
        except Exception as error:  # noqa: BLE001  # whatever is wrong with the new release, the old one answers
            self._say(EdgeAgentError("internal", f"{type(error).__name__}: {error}; please report it"))
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
            give_back()  # what the one before leaves, too, is half as much again as one takes
            log.info("%s: %s answers now", self._releases.model, self.release.name)
        self._problem = None

    def _say(self, error: EdgeAgentError) -> None:
        """Keep a problem, without the frames that its traceback holds; log it unless it is the last one again."""
        problem = type(error)(error.code, f"{error.message}; {self.release.name} goes on answering")
        if str(problem) != str(self._problem):
            log.error("%s: %s", self._releases.model, problem)
        self._problem = problem


class _Link(NamedTuple):
    """Which release is active, when it was made so, and when it was last written: its form may be made anew."""

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
        text = f"{not_permitted(link)}; applications must be able to read it"
        raise StoreError("state_unreadable", text) from None
    except OSError as error:
        raise StoreError("state_unreadable", f"{link}: {error.strerror}; applications must read it") from None


def _written_ns(folder: Path) -> int:
    try:
        return (folder / RELEASE_FILE).stat().st_mtime_ns
    except OSError:  # whoever reads it says what is wrong
        return 0


def _configured_state_dir() -> str:
    """Only that key is looked at: an application need not know every key that the daemon's version does."""
    table = read_toml(DEFAULT_PATH) if os.access(DEFAULT_PATH, os.R_OK) else {}
    return str(table.get("state_dir", DEFAULT_STATE_DIR))
