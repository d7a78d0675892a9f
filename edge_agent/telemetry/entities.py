"""The Home Assistant entities of a device and of each of its models, in its discovery schema. Pure.

Rules for every entity:

* ``expire_after`` appears only on ``tele/*``, whose samples the broker does not retain. A retained state would be
  delivered again at each restart of Home Assistant, and would expire although it still holds.
* A unit is one that Home Assistant accepts for the ``device_class``. An ``enum`` has neither unit nor ``state_class``.
* No entity accepts a command: an order needs a signature, which Home Assistant cannot make.
"""

from typing import Any

from edge_agent.jobs.job import Status
from edge_agent.telemetry import templates
from edge_agent.wire.telemetry import EVENT_KINDS, HEALTH
from edge_agent.wire.topics import Topics

Entity = dict[str, Any]

_EXPIRES_AFTER = 3
"""Intervals without a sample after which Home Assistant stops showing a value."""
_STATUSES = [status.value for status in Status]
_KINDS = sorted(EVENT_KINDS)

_MB, _KB, _MHZ = "(v/1000000)|round(1)", "(v/1000)|round(1)", "(v/1000000)|round"
_PERCENT, _ROUND = "(v*100)|round(2)", "v|round(4)"
_DIAGNOSTIC: Entity = {"entity_category": "diagnostic"}
_MS: Entity = {"device_class": "duration", "unit_of_measurement": "ms", "suggested_display_precision": 2}
_CELSIUS: Entity = {"device_class": "temperature", "unit_of_measurement": "°C", "suggested_display_precision": 1}
_CLOCK: Entity = {"device_class": "frequency", "unit_of_measurement": "MHz", "suggested_display_precision": 0}
_SIZE: Entity = {"device_class": "data_size", "unit_of_measurement": "MB", "suggested_display_precision": 1}
_SMALL_SIZE: Entity = {**_SIZE, "unit_of_measurement": "kB"}
_SHARE: Entity = {"unit_of_measurement": "%", "suggested_display_precision": 1}
_RATIO: Entity = {"suggested_display_precision": 2}

_Numbers = tuple[tuple[str, str, str, str, Entity], ...]
_OF_THE_MACHINE: _Numbers = (
    ("temperature", "Temperature", "temperature_c", "v|round(1)", _CELSIUS),
    ("processor", "Processor use", "cpu_share", _PERCENT, _SHARE),
    ("clock", "Processor clock", "clock_hz", _MHZ, _CLOCK),
    ("memory", "Memory available", "memory_available_bytes", _MB, _SIZE),
    ("disk", "Disk free", "disk_free_bytes", _MB, _SIZE),
    ("disk_writes", "Disk writes a day", "disk_written_bytes_per_day", _MB, _SIZE),
    ("agent_memory", "Agent memory", "agent_rss_bytes", _MB, _SIZE),
)
"""Entity, name, field of ``Health``, template that renders its value ``v``, other keys."""
_OF_A_RELEASE: _Numbers = (
    ("latency", "latency", "p50_ms", _ROUND, _MS),
    ("latency_p95", "latency p95", "p95_ms", _ROUND, _MS),
    ("float_latency", "float latency", "float_p50_ms", _ROUND, _MS),
    ("latency_ratio", "latency ratio", "latency_ratio", _ROUND, _RATIO),
    ("size", "size", "model_bytes", _KB, _SMALL_SIZE),
    ("size_ratio", "size ratio", "size_ratio", _ROUND, _RATIO),
    ("agreement", "agreement", "agreement", _PERCENT, _SHARE),
    ("accuracy", "accuracy", "accuracy", _PERCENT, _SHARE),
    ("float_accuracy", "float accuracy", "float_accuracy", _PERCENT, _SHARE),
    ("memory", "memory", "rss_bytes", _KB, _SMALL_SIZE),
)
"""The same for ``ModelState``; the model's name is put before each name."""
_OF_SERVING: _Numbers = (
    ("inferences", "inferences", "inferences", "v", {"unit_of_measurement": "inferences"}),
    ("errors", "errors", "errors", "v", {"unit_of_measurement": "errors"}),
    ("serving_latency", "serving latency p95", "p95_ms", _ROUND, _MS),
)
"""The same for ``ModelSample``, which covers the last interval."""
_ATTRIBUTES = (
    *("job_version", "stale", "active_version", "previous_version", "agreement_lower", "latency_ratio_upper"),
)
_TEXTS = ("code", "message", "method", "runtime", "stage", "verdict", "active_since")
"""Fields of ``ModelState`` that become attributes of a model's status."""


def availability(topics: Topics, device: str) -> list[Entity]:
    """The topic and template that tell Home Assistant whether the device is online."""
    return [{"topic": topics.device(device, "status"), "value_template": templates.ONLINE}]


def device_entities(topics: Topics, device: str, health_s: int) -> dict[str, Entity]:
    """The device's own entities; with ``health_s`` 0 there are none for its health."""
    found: dict[str, Entity] = {
        "device.connected": {
            "platform": "binary_sensor",
            "name": "Connected",
            "device_class": "connectivity",
            "state_topic": topics.device(device, "status"),
            "value_template": templates.CONNECTED,
            "availability": [],  # this entity reports the state that makes all others unavailable
            **_DIAGNOSTIC,
        },
        "device.events": {
            "platform": "event",
            "name": "Events",
            "state_topic": topics.device(device, "event"),
            "event_types": _KINDS,
            "value_template": templates.event(
                _KINDS, ("event_seq", "version"), ("severity", "code", "message", "model", "job")
            ),
            "qos": 1,
            "availability": [],  # an event stays valid after its device has gone offline
        },
    }
    if not health_s:
        return found
    base: Entity = {
        "state_topic": topics.device(device, "tele", HEALTH),
        "expire_after": _EXPIRES_AFTER * health_s,
        **_DIAGNOSTIC,
    }
    for key, name, field, shown, rest in _OF_THE_MACHINE:
        found[f"health.{key}"] = _sampled(name, field, shown, {**base, **rest})
    for key, name in (("throttled", "Throttled"), ("undervoltage", "Undervoltage")):
        found[f"health.{key}"] = {
            "platform": "binary_sensor",
            "name": name,
            "device_class": "problem",
            "value_template": templates.of_sample(templates.yes_or_no(key)),
            **base,
        }
    return found


def model_entities(topics: Topics, device: str, model: str, model_s: int) -> dict[str, Entity]:
    """The entities of one model name; with ``model_s`` 0 there are none for serving."""
    state: Entity = {"state_topic": topics.device(device, "model", model)}
    found: dict[str, Entity] = {
        "status": {
            "platform": "sensor",
            "name": f"{model} status",
            "device_class": "enum",
            "options": _STATUSES,
            "value_template": templates.one_of("status", _STATUSES),
            "json_attributes_topic": state["state_topic"],
            "json_attributes_template": templates.attributes(_ATTRIBUTES, _TEXTS),
            **state,
        },
        "problem": {
            "platform": "binary_sensor",
            "name": f"{model} problem",
            "device_class": "problem",
            "value_template": templates.PROBLEM,
            **state,
        },
        "update": {
            "platform": "update",
            "name": f"{model} model",
            "title": model,
            "value_template": templates.update(device, model, _STATUSES),
            **state,
        },
    }
    for key, name, field, shown, rest in _OF_A_RELEASE:
        found[key] = _number(f"{model} {name}", field, shown, {**state, **rest})
    if model_s:
        served: Entity = {
            "state_topic": topics.model_stream(device, model),
            "expire_after": _EXPIRES_AFTER * model_s,
        }
        for key, name, field, shown, rest in _OF_SERVING:
            found[key] = _sampled(f"{model} {name}", field, shown, {**served, **rest})
    return {f"model.{model}.{key}": entity for key, entity in found.items()}


def _number(name: str, field: str, shown: str, rest: Entity) -> Entity:
    return {
        "platform": "sensor",
        "name": name,
        "state_class": "measurement",
        "value_template": templates.number(field, shown),
        **rest,
    }


def _sampled(name: str, field: str, shown: str, rest: Entity) -> Entity:
    entity = _number(name, field, shown, rest)
    return {**entity, "value_template": templates.of_sample(entity["value_template"])}
