"""The Jinja templates with which Home Assistant renders a device's messages. Pure.

A template tolerates any message: an empty one, a missing field, a field of another type. It renders an unusable value
as unknown (``none``). An empty message clears a model's retained state; on other topics it is ignored (``edge-agent
doctor`` sends some). No text of a model or a sensor becomes part of a template. Texts are cut, as a state has at most
255 characters and the recorder stores attributes up to 16 KB.
"""

from collections.abc import Iterable

_M = "{% set m = value_json if value_json is mapping else {} %}"
_MOST_TEXT, _MOST_WORD = 1000, 100
"""Characters of a message in an attribute, and of any other text."""
_MOST_SUMMARY, _MOST_END = 255, 75
"""Characters of Home Assistant's ``release_summary``, and of its part about the newest job's end."""

ONLINE = _M + "{{ 'online' if m.get('online') is true else 'offline' if m.get('online') is false else '' }}"
CONNECTED = _M + "{{ 'ON' if m.get('online') is true else 'OFF' if m.get('online') is false else '' }}"
PROBLEM = _M + "{{ 'ON' if m.get('verdict') in ['rejected', 'failed'] or m.get('stale') is true else 'OFF' }}"


def number(field: str, shown: str) -> str:
    """A number; ``shown`` is the expression that renders its value ``v``."""
    return _M + "{% set v = m.get('" + field + "') %}{{ " + shown + " if v is number else none }}"


def yes_or_no(field: str) -> str:
    """A boolean."""
    return _M + "{% set v = m.get('" + field + "') %}{{ 'ON' if v is true else 'OFF' if v is false else none }}"


def of_sample(template: str) -> str:
    """The same template, which ignores an empty message."""
    return _M + "{% if m %}" + template.removeprefix(_M) + "{% endif %}"


def one_of(field: str, known: list[str]) -> str:
    """A text of the list ``known``; Home Assistant would log an error for any other."""
    return _M + "{% set v = m.get('" + field + "') %}{{ v if v in " + str(known) + " else none }}"


def attributes(fields: Iterable[str], texts: Iterable[str]) -> str:
    """Numbers and booleans from ``fields``, and shortened ``texts``."""
    return _M + "{{ {" + _pairs(fields, texts) + "}|to_json }}"


def event(kinds: list[str], fields: Iterable[str], texts: Iterable[str]) -> str:
    """An event with its attributes; an unknown kind is skipped, as Home Assistant would log an error for it."""
    shown = "{{ {'event_type': m.kind, " + _pairs(fields, texts) + "}|to_json }}"
    return _M + "{% if m.get('kind') in " + str(kinds) + " %}" + shown + "{% endif %}"


def update(device: str, model: str, statuses: list[str]) -> str:
    """A model's versions and the newest job's progress; Home Assistant drops the message if it has any other key.

    Home Assistant treats versions as texts. A rejected version stays on offer, and the summary reports how its job
    ended. The summary is rendered as Markdown, so it contains only words of the protocol.
    """
    return (
        _M + "{% if m.get('model') %}"
        "{% set a, n = m.get('active_version')|int(0), m.get('newest_version')|int(0) %}"
        "{% set s = m.get('status') if m.get('status') in " + str(statuses) + " else '' %}"
        "{% set p = s in ['queued', 'in_progress'] %}"
        "{% set c = m.get('code', '')|string|regex_replace('[^a-z0-9_]', '') %}"
        "{% set t = 'Version ' ~ m.get('job_version')|int(0) ~ ': ' ~ s ~ (' (' ~ c[:30] ~ ')' if c else '') ~ '. ' %}"
        "{{ {'installed_version': a|string if a else 'none',"
        " 'latest_version': [a, n]|max|string if a or n else 'none',"
        " 'in_progress': p,"
        " 'update_percentage': [[(m.progress*100)|round|int, 0]|max, 100]|min"
        " if p and m.get('progress') is number else none,"
        " 'release_summary': (t[:" + str(_MOST_END) + "] if s else '') ~ '" + summary(device, model) + "'}"
        "|to_json }}{% endif %}"
    )


def summary(device: str, model: str) -> str:
    """The shell commands for what Home Assistant cannot do; a command that does not fit is left out, never cut."""
    install = f"Home Assistant only watches, as orders are signed. To install: push-model MODEL --device {device}."
    both = f"{install} To go back: host-tools rollback {model} --device {device}"
    return both if len(both) <= _MOST_SUMMARY - _MOST_END else install


def _pairs(fields: Iterable[str], texts: Iterable[str]) -> str:
    numbers = [f"'{field}': (m.{field} if m.{field} is number else none)" for field in fields]
    return ", ".join([*numbers, *(f"'{text}': (m.get('{text}', '')|string)[:{_most(text)}]" for text in texts)])


def _most(text: str) -> int:
    return _MOST_TEXT if text == "message" else _MOST_WORD
