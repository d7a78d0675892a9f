"""Home Assistant's core with its MQTT integration and nothing else; runs in an environment of its own.

``python core.py FOLDER PORT``: connects to the broker at that port of 127.0.0.1. For each line on standard input it
prints one line of JSON: the states, the entities and devices in its registries, and what was logged from warnings on.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from homeassistant import bootstrap, config_entries, loader
from homeassistant.components import mqtt
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.helpers import device_registry, entity_registry

STUBBED = ("http", "file_upload")
"""What the MQTT integration needs for its dialogs alone."""


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "homeassistant.helpers.frame":  # what it finds in its own code
            return
        self.lines.append(f"{record.name}: {self.format(record)}"[-2000:])


def seen(hass: HomeAssistant, kept: Kept) -> dict[str, Any]:
    """What a person would see."""
    entities = entity_registry.async_get(hass).entities.values()
    devices = device_registry.async_get(hass).devices.values()
    return {
        "states": {
            state.entity_id: {"state": state.state, "attributes": dict(state.attributes)}
            for state in hass.states.async_all()
        },
        "entities": {entity.unique_id: entity.entity_id for entity in entities},
        "devices": {device.name: sorted(f"{kind}:{name}" for kind, name in device.identifiers) for device in devices},
        "log": kept.lines,
    }


async def main(folder: str, port: int) -> None:
    kept = Kept()
    logging.getLogger().addHandler(kept)
    logging.getLogger().setLevel(logging.WARNING)
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    await bootstrap.async_load_base_functionality(hass)
    for name in STUBBED:
        hass.config.components.add(name)
    await bootstrap.async_setup_component(hass, "homeassistant", {})
    entry = config_entries.ConfigEntry(
        domain=mqtt.DOMAIN,
        title="broker",
        data={mqtt.CONF_BROKER: "127.0.0.1", "port": port, mqtt.CONF_DISCOVERY: True},
        version=mqtt.CONFIG_ENTRY_VERSION,
        minor_version=mqtt.CONFIG_ENTRY_MINOR_VERSION,
        source=config_entries.SOURCE_USER,
        options={},
        unique_id=None,
        discovery_keys={},
        subentries_data=(),
    )
    await hass.config_entries.async_add(entry)
    hass.set_state(CoreState.running)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        sys.stdout.write(json.dumps(seen(hass, kept), default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
