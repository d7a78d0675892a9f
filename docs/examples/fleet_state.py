"""Prints the state of every device, once: python fleet_state.py BROKER[:PORT] [NAMESPACE]. Needs paho-mqtt alone.

docs/protocol.md explains the fields. A broker that asks who you are: client.tls_set("ca.pem"), and
client.username_pw_set("dashboard", "its password"), before client.connect.
"""

import json
import sys
import time
from collections import defaultdict

import paho.mqtt.client as mqtt

QUIET_S = 1.0  # nothing says which retained message is the last: no more came for so long
CONNECT_S = 30.0
broker, namespace = (*sys.argv[1:], "ea/v1")[:2]
online, models, heard = {}, defaultdict(dict), []


def on_connect(client: mqtt.Client, *_: object) -> None:
    """Subscribe: the broker sends what it keeps, with QoS 0 however much that is."""
    client.subscribe([(f"{namespace}/d/+/{kind}", 0) for kind in ("status", "model/+", "job/+")])


def on_subscribe(*_: object) -> None:
    """What is retained comes from now on."""
    heard.append(time.monotonic())


def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    """Note the newest of each model; devices of version 0.1 have job reports only."""
    if message.retain:  # what is said meanwhile has no end
        heard.append(time.monotonic())
    if not message.payload:
        return  # it was cleared
    device, kind = message.topic.removeprefix(f"{namespace}/d/").split("/")[:2]
    try:
        said = json.loads(message.payload)
        if kind == "status":
            online[device] = said["online"] is True
            return
        flat, name = kind == "model", str(said["model"])
        active = said["active_version"] or "none" if flat else "?"
        newest = said["job_version"] if flat else said["version"]
        verdict = said["verdict"] if flat else said["results"].get("verdict")
        line = f"{name}: active {active}, newest {newest} {verdict or said['status']} {said['code']}".rstrip()
        rank = flat, int(said["seq"])
        models[device][name] = max(models[device].get(name, (rank, line)), (rank, line))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        print(f"not understood: {message.topic!a}", file=sys.stderr)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
host, _, port = broker.partition(":")
client.connect(host, int(port or 1883))
deadline = time.monotonic() + CONNECT_S
while time.monotonic() < (heard[-1] + QUIET_S if heard else deadline):
    if client.loop(0.1):
        sys.exit(f"no connection to {broker}")
if not heard:
    sys.exit(f"no answer from {broker} in {CONNECT_S:g} s")
for device in sorted(online.keys() | models.keys()):
    print(ascii(device)[1:-1], "online" if online.get(device) else "offline")  # as a terminal may have others' words
    for _, line in sorted(models[device].values(), key=lambda model: model[1]):
        print("   ", ascii(line)[1:-1])
