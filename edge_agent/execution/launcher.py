"""Starts the worker of a stage: writes its task and sets its limits."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.device.memory import worker_memory_bytes
from edge_agent.errors import ContractError, StageError
from edge_agent.execution.lines import OnProgress
from edge_agent.execution.run import StageEnd, StageRun
from edge_agent.foreign.decoding import cut_text
from edge_agent.foreign.removal import remove
from edge_agent.jobs.job import Job
from edge_agent.jobs.task import TASK_FILE, Stage, StoredBlob, Task, encode_task
from edge_agent.process.cgroup import delegated
from edge_agent.process.child import Child
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child
from edge_agent.settings.broker import BROKER_KEYS
from edge_agent.settings.device import Config
from edge_agent.settings.sharing import source_folder, split_common_keys
from edge_agent.state.durable import write_durably
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import Manifest

_ACTIVATE_TIMEOUT_S = 120.0
_FORM_TIMEOUT_S = 300.0
_MOST_WORDS = 300
_EVAL_FILE = "eval.npz"


def make_task(job: Job, manifest: Manifest, config: Config, memory_bytes: int) -> Task:
    """Make the task for the workers of ``job``; raises ``ContractError`` if this device lacks a source."""
    wanted = {contract.source for contract in manifest.inputs if contract.source}
    if not wanted:
        raise ContractError("input_missing", f"manifest {manifest.name}: [input] names no source to calibrate with")
    for source in sorted(wanted):
        if source not in config.sources:
            hint = did_you_mean(source, config.sources)
            raise ContractError("source_unknown", f"this device has no source {source!r}{hint}")
    return Task(
        job=job.id,
        name=job.model,
        version=job.version,
        format=manifest.format,
        model=f"model.{manifest.format}",
        inputs=manifest.inputs,
        output=manifest.output,
        outputs=manifest.outputs,
        recipe=manifest.recipe,
        gates=manifest.gates,
        state=manifest.state,
        eval=_EVAL_FILE if manifest.eval is not None else "",
        sources={name: source_table(config, name) for name in wanted},
        shared={
            name: str(source_folder(Path(config.state_dir), name))
            for name in wanted
            if split_common_keys(name, config.sources[name])[0].shared
        },
        seed=int(job.id[:8], 16),
        memory_bytes=memory_bytes,
        stage_timeout_s=config.limits.stage_timeout_s,
    )


def source_table(config: Config, name: str) -> dict[str, Any]:
    """``[sources.NAME]`` for a worker; an mqtt source without its own broker gets the device's."""
    table = config.sources[name]
    if table.get("kind") != "mqtt" or "url" in table:
        return table
    return {key: getattr(config.mqtt, key) for key in BROKER_KEYS} | table


class Launcher:
    """Starts the workers of stages for the daemon."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._group_parent = delegated()

    def start(
        self,
        job: Job,
        manifest: Manifest,
        job_dir: Path,
        blobs: Path,
        *,
        on_progress: OnProgress,
        on_end: Callable[[StageEnd], None],
    ) -> StageRun:
        """Start the worker of the current stage of ``job``; ``blobs`` is the folder of received blobs."""
        memory_bytes = worker_memory_bytes(self._config.limits.worker_memory_bytes)
        task = make_task(job, manifest, self._config, memory_bytes)
        task = msgspec.structs.replace(task, blobs=_stored(manifest, task, blobs))
        _write_task(job_dir, task)
        limits = self._limits(job.stage, memory_bytes)
        run = StageRun(
            job_dir,
            job.stage,
            limits,
            on_progress=on_progress,
            on_end=on_end,
            group_parent=self._group_parent,
        )
        run.start()
        return run

    def make_form(self, release: Path, folder: Path) -> str:
        """Make the optimised form of a release in ``folder`` with :mod:`edge_agent.worker.forms.remaker`. Blocks.

        Returns:
            The reason of a failure; empty if the form was made.
        """
        memory_bytes = worker_memory_bytes(self._config.limits.worker_memory_bytes)
        lines: deque[str] = deque(maxlen=1)
        try:
            ended = Child(
                python_child("edge_agent.worker.forms.remaker", str(release), str(folder)),
                limits=ChildLimits(timeout_s=_FORM_TIMEOUT_S, memory_bytes=memory_bytes),
                on_line=lines.append,
                group_parent=self._group_parent,
            ).wait()
        except OSError as error:
            return f"the worker could not be started: {error}"
        if ended.reason == "exited" and ended.returncode == 0:
            return ""
        if ended.reason == "timeout":
            return f"it took longer than {_FORM_TIMEOUT_S:g} s"
        if ended.reason == "out_of_memory":
            return "it needs more memory than a worker may have"
        return cut_text(lines[0], _MOST_WORDS) if lines else f"the worker {ended.describe()}"

    def _limits(self, stage: Stage, memory_bytes: int) -> ChildLimits:
        limit_s = self._config.limits.stage_timeout_s
        match stage:
            case Stage.CAPTURE:  # computes its deadline from the sensor's rate, and reports progress
                return ChildLimits(timeout_s=None, quiet_s=limit_s, memory_bytes=memory_bytes)
            case Stage.ACTIVATE:
                return ChildLimits(timeout_s=_ACTIVATE_TIMEOUT_S, memory_bytes=memory_bytes)
            case _:
                return ChildLimits(timeout_s=limit_s, memory_bytes=memory_bytes)


def _stored(manifest: Manifest, task: Task, blobs: Path) -> dict[str, StoredBlob]:
    """The blobs that the worker copies into its folder; a link would let it write to the blob itself."""
    named = [(task.model, manifest.blob), (task.eval, manifest.eval)]
    return {
        name: StoredBlob(str(blobs / blob.sha256), blob.sha256, blob.size) for name, blob in named if blob is not None
    }


def _write_task(job_dir: Path, task: Task) -> None:
    """Write the task file, replacing anything that a worker put at its path; raises ``StageError``."""
    path = job_dir / TASK_FILE
    try:
        job_dir.mkdir(mode=0o700, exist_ok=True)
        for name in (path.name, f".{path.name}.tmp"):
            remove(path.with_name(name))
        write_durably(path, encode_task(task))
    except OSError as error:
        raise StageError("stage_crashed", f"cannot write {path}: {error.strerror}; free space in state_dir") from None
