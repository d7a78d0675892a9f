"""What Home Assistant makes of a device's messages: its templates, in Jinja as it has it. Pure.

A template stands whatever is published: an empty message, one without the field, one of another type. What it cannot
show is unknown (``none``). An empty message clears what is retained of a model; elsewhere it is nobody's, and passed
over (``edge-agent doctor`` sends some). No text of a model or a sensor becomes part of a template, and texts are cut,
as a state has 255 characters at most and the recorder keeps attributes up to 16 KB.
"""

from collections.abc import Iterable

_M = "{% set m = value_json if value_json is mapping else {} %}"
_MOST_TEXT, _MOST_WORD = 1000, 100
"""Characters of a message in an attribute, and of another text."""
_MOST_SUMMARY, _MOST_END = 255, 75
"""Characters of Home Assistant's ``release_summary``, and of how the newest job ended in it."""

ONLINE = _M + "{{ 'online' if m.get('online') is true else 'offline' if m.get('online') is false else '' }}"
CONNECTED = _M + "{{ 'ON' if m.get('online') is true else 'OFF' if m.get('online') is false else '' }}"
PROBLEM = _M + "{{ 'ON' if m.get('verdict') in ['rejected', 'failed'] or m.get('stale') is true else 'OFF' }}"


def number(field: str, shown: str) -> str:
    """A number; ``shown``: what is made of it, ``v``."""
    return _M + "{% set v = m.get('" + field + "') %}{{ " + shown + " if v is number else none }}"


def yes_or_no(field: str) -> str:
    """A boolean."""
    return _M + "{% set v = m.get('" + field + "') %}{{ 'ON' if v is true else 'OFF' if v is false else none }}"


def of_sample(template: str) -> str:
    """The same, where an empty message changes nothing."""
    return _M + "{% if m %}" + template.removeprefix(_M) + "{% endif %}"


def one_of(field: str, known: list[str]) -> str:
    """A text that must be ``known``, as any other is logged as an error."""
    return _M + "{% set v = m.get('" + field + "') %}{{ v if v in " + str(known) + " else none }}"


def attributes(fields: Iterable[str], texts: Iterable[str]) -> str:
    """Numbers and booleans, and ``texts`` cut."""
    return _M + "{{ {" + _pairs(fields, texts) + "}|to_json }}"


def event(kinds: list[str], fields: Iterable[str], texts: Iterable[str]) -> str:
    """An event with its attributes; one of an unknown kind would be logged as an error, so it is passed over."""
    shown = "{{ {'event_type': m.kind, " + _pairs(fields, texts) + "}|to_json }}"
    return _M + "{% if m.get('kind') in " + str(kinds) + " %}" + shown + "{% endif %}"


def update(device: str, model: str, statuses: list[str]) -> str:
    """A model's versions, and how far the newest is. With any other key than these the message is dropped as a whole.

    Versions are texts there. A version that was refused stays on offer, and the summary says how its job ended. The
    summary is rendered as Markdown, so nothing but words of the protocol comes into it.
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
    """How to do from a shell what cannot be done from Home Assistant: commands that are whole, or not there."""
    install = f"Home Assistant only watches, as orders are signed. To install: push-model MODEL --device {device}."
    both = f"{install} To go back: host-tools rollback {model} --device {device}"
    return both if len(both) <= _MOST_SUMMARY - _MOST_END else install


def _pairs(fields: Iterable[str], texts: Iterable[str]) -> str:
    numbers = [f"'{field}': (m.{field} if m.{field} is number else none)" for field in fields]
    return ", ".join([*numbers, *(f"'{text}': (m.get('{text}', '')|string)[:{_most(text)}]" for text in texts)])


def _most(text: str) -> int:
    return _MOST_TEXT if text == "message" else _MOST_WORD
