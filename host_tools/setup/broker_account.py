"""The operator's account at a mosquitto: password and ACL lines, as ``docs/broker.md`` has them. Pure."""

import shlex

_ACL = (
    "topic readwrite {namespace}/b/#",
    "topic readwrite {namespace}/g/#",
    "topic read {namespace}/d/#",
    "topic write {namespace}/d/+/want/+",
    "topic write {namespace}/d/+/cmd/+",
    "topic write {namespace}/d/+/done/+",
)


def acl_lines(username: str, namespace: str) -> list[str]:
    """The lines of the ACL that let ``username`` push models and give commands below ``namespace``."""
    return [f"user {username}", *(line.format(namespace=namespace) for line in _ACL)]


def account_steps(username: str, namespace: str) -> list[str]:
    """The steps on the broker's machine that make the account, a line each."""
    return [
        f"sudo mosquitto_passwd /etc/mosquitto/passwords {shlex.quote(username)}",
        "add to /etc/mosquitto/acl:",
        *(f"  {line}" for line in acl_lines(username, namespace)),
        "sudo systemctl restart mosquitto",
    ]
