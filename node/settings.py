"""Settings that change while the node runs, and a setting that is changed in the file.

How it works
    `reload` reads config.toml again, whole and strictly: a fault changes nothing. What can be taken over at once is
    (LIVE); the rest waits for a restart and is named. `with_setting` changes one value and leaves every other byte of
    the file, comments too, as the operator wrote it.

What it does not do
    It drops no channel: an address that is listened at no more is given up at the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ledger.errors import LocalError
from node.config import Config, read_config
from node.exits import usage
from node.logs import set_up

if TYPE_CHECKING:
    from node.daemon import Node

LIVE: Final = ("log_format", "log_level", "advertise", "listen", "probes_a_day", "webhooks", "storage", "relay")
"""Settings taken over by `reload`; of `listen`, the addresses that are new."""


def flat(config: Config) -> dict[str, Any]:
    """Return the settings by their names in the file: `pages.url`; a table that is not there is None."""
    found: dict[str, Any] = {}

    def add(prefix: str, value: msgspec.Struct) -> None:
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if isinstance(inner, msgspec.Struct):
                add(f"{prefix}{name}.", inner)
            else:
                found[f"{prefix}{name}"] = inner

    add("", config)
    return found


def differences(old: Config, new: Config) -> list[str]:
    """Return the names of the settings that differ, in the order of the file."""
    before, after = flat(old), flat(new)
    names = dict.fromkeys((*before, *after))
    return [name for name in names if before.get(name) != after.get(name)]


def is_live(name: str) -> bool:
    """Say whether a setting is taken over without a restart."""
    return name.partition(".")[0] in LIVE


async def reload(node: Node, wanted: Config) -> None:
    """Take over what can be at once. Raises LocalError LISTEN_REFUSED; the other settings are then as before."""
    held = node.config
    young = [address for address in wanted.listen if address not in held.listen]
    try:
        await node.net.listen_also(young)
    except OSError as error:
        told = f"Cannot listen on {', '.join(young)} ({error}); change `listen` in config.toml."
        raise LocalError("LISTEN_REFUSED", told) from None
    listen = (*held.listen, *young)
    live = {name: getattr(wanted, name) for name in LIVE} | {"listen": listen}
    node.config = msgspec.structs.replace(held, **live)
    if (held.log_format, held.log_level) != (wanted.log_format, wanted.log_level):
        set_up(wanted.log_format, wanted.log_level, node.events.note)
    for mesh in node.meshes.values():
        mesh.flows.probing.a_day = wanted.probes_a_day
        if (held.advertise, held.listen, held.relay) != (wanted.advertise, listen, wanted.relay):
            await node.announce(mesh)


def with_setting(raw: bytes, name: str, value: str, file: str) -> bytes:
    """Return the settings' file with one value changed. `value`: TOML (`["host:1"]`, `true`), or else plain text.

    An empty value takes the setting out, so that its default counts. `file`: its name, for errors.
    Raises LocalError USAGE, CONFIG_INVALID; the file as it is must be right.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    read_config(raw, file)
    if any("\ud800" <= letter <= "\udfff" for letter in name + value):
        raise usage("The name or the value is not UTF-8 text.", "value")  # undecodable bytes of a command line
    document = tomlkit.parse(raw.decode())
    *tables, key = name.split(".")
    place: Any = document
    for table in tables:
        if table not in place:
            place[table] = tomlkit.table()
        place = place[table]
        if not isinstance(place, dict):
            raise usage(f"{name} is no setting.", "setting")
    if not value:
        place.pop(key, None)
    else:
        try:
            place[key] = tomlkit.value(value)
        except TOMLKitError:
            place[key] = value
    changed = tomlkit.dumps(document).encode()
    try:
        read_config(changed, file)
    except LocalError as error:
        raise LocalError(error.code, f"Nothing was changed: {error.message}", field=name) from None
    return changed
