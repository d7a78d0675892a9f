"""Makes a manifest from a form, the model's file and the devices' sources. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from starlette.datastructures import FormData

from edge_agent.draft.guess import guess
from edge_agent.draft.manifest import draft
from edge_agent.draft.states import carried
from edge_agent.draft.toml_text import inline
from edge_agent.model_file.tensors import ModelTensors
from edge_agent.wire.manifest import OutputKind
from edge_agent.wire.messages import DeviceInfo

KINDS: tuple[str, ...] = get_args(OutputKind)
_LONGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The form's fields as text, which are checked when the TOML is read."""

    name: str = ""
    source: str = ""
    channels: str = ""
    size: str = ""
    hop: str = ""
    rate_hz: str = ""
    steps: str = ""
    frame: str = ""
    kind: str = ""
    more: str = ""

    @classmethod
    def read(cls, form: FormData) -> "Described":
        """The fields of a form."""
        return cls(**{one.name: str(form.get(one.name, ""))[:_LONGEST].strip() for one in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that some of the chosen devices have."""

    name: str
    channels: tuple[str, ...]
    rate_hz: float | None
    devices: tuple[str, ...]

    @property
    def shown(self) -> str:
        """A description in one line."""
        rate = f", {self.rate_hz:g} Hz" if self.rate_hz else ""
        channels = ", ".join(self.channels[:8]) + (", …" if len(self.channels) > 8 else "")  # noqa: PLR2004  # a line
        some = f" ({len(self.devices)} of the devices)"
        return f"{self.name}: {channels or 'channels unknown'}{rate}{some}"


def sources(infos: Mapping[str, DeviceInfo | None]) -> list[Source]:
    """The sources of any of the devices, by name; channels are those of the first device that reports them."""
    found: dict[str, Source] = {}
    for device, info in infos.items():
        for name, about in (info.sources if info else {}).items():
            told, rate = about.get("channels"), about.get("rate_hz")
            channels = tuple(str(one) for one in told) if isinstance(told, list) else ()
            rate_hz = float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else None
            known = found.setdefault(name, Source(name=name, channels=channels, rate_hz=rate_hz, devices=()))
            found[name] = replace(known, devices=(*known.devices, device), channels=known.channels or channels)
    return sorted(found.values(), key=lambda one: (-len(one.devices), one.name))


def first_guess(name: str, signature: ModelTensors | None, known: Sequence[Source]) -> Described:
    """The values that the shapes suggest, and the source if there is only one."""
    guessed = guess(signature)
    feed = guessed.feed
    only = known[0] if len(known) == 1 else None
    fits = only is not None and len(only.channels) == feed.channels
    return Described(
        name=name,
        source=only.name if only else "",
        channels=", ".join(only.channels) if only and fits else "",
        size=str(feed.size),
        hop=str(feed.hop),
        rate_hz=f"{feed.rate_hz:g}" if feed.rate_hz else "",
        steps=inline(feed.steps),
        frame=", ".join(map(str, feed.frame)) if feed.frame else "",
        kind=guessed.kind.kind if guessed.kind else "",
    )


def needs_text(signature: ModelTensors | None) -> bool:
    """Whether the form is not enough for this model, as it has several inputs or carries state."""
    return signature is not None and (len(signature.inputs) > 1 or bool(carried(signature)))


def first_text(file: str, name: str, signature: ModelTensors | None) -> str:
    """The initial text where the form is not enough."""
    return draft(file, name, signature)


def toml(said: Described) -> str:
    """The manifest that the form describes, without empty fields."""
    lines = [f"name = {_text(said.name)}", "", "[input]", f"source = {_text(said.source)}"]
    if said.channels:
        lines.append(f"channels = [{', '.join(_text(one) for one in _words(said.channels))}]")
    lines.append(f"window = {{ size = {said.size or '0'}, hop = {said.hop or '0'} }}")
    if said.rate_hz:
        lines.append(f"rate_hz = {said.rate_hz}")
    if said.steps:
        lines.append(f"steps = [{said.steps.removeprefix('[').removesuffix(']')}]")
    if said.frame:
        lines.append(f"frame = [{said.frame}]")
    if said.kind:
        lines += ["", "[output]", f"kind = {_text(said.kind)}"]
    if said.more:
        lines += ["", *said.more.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines) + "\n"


def summary(announced: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The push that a dry run announces, as names and values."""
    manifest = announced["manifest"]
    yield "Model", f"{manifest['name']} {manifest['version']}"
    yield "Job", str(announced["job"])
    yield (
        "To send",
        f"{announced['bytes']:,} bytes in {announced['chunks']} chunks, less what the broker has",
    )
    yield "For", ", ".join(manifest["targets"])
    yield "Until", str(manifest["expires"])


def _words(text: str) -> list[str]:
    return [word for one in text.replace("\n", ",").split(",") if (word := one.strip())]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
