"""Operations on the settings: check them, show them, change one, have the running node take them over.

How it works
    config.toml belongs to the operator; `set` changes one value in it and leaves the rest as it is written.
    `diff` and `reload` ask the running node. What cannot be taken over while it runs is named (node/settings.py).

What it does not do
    It holds no secret: keys and tokens are no settings.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from ledger.errors import LocalError
from node.config import CONFIG_BYTES_MAX, Config, Home, read_config
from node.exits import OK, REFUSED, not_found
from node.operation import Args, Local, Nothing, Result, local_operation, operation, said

if TYPE_CHECKING:
    from node.daemon import Node


class CheckArgs(Args, frozen=True):
    """Which file."""

    file: Annotated[
        str | None, said("The settings to check. Default: those of this node.", positional=True, path=True)
    ] = None


class ConfigChecked(Result, frozen=True):
    """Settings that can be used."""

    file: Annotated[str, said("The file that was read.")]
    settings: Annotated[int, said("How many settings it has that differ from their defaults.")]


class SettingRow(Result, frozen=True):
    """One setting."""

    setting: Annotated[str, said("Its name; a dot leads into a table.")]
    value: Annotated[str, said("Its value, as JSON.")]
    default: Annotated[bool, said("Whether that is its default.")]


class Settings(Result, frozen=True):
    """The settings in effect, defaults included."""

    file: Annotated[str, said("The file they stand in.")]
    settings: Annotated[tuple[SettingRow, ...], said("Each setting.")]


class Change(Result, frozen=True):
    """A setting that differs between the file and the running node."""

    setting: Annotated[str, said("Its name.")]
    running: Annotated[str, said("What the node goes by, as JSON.")]
    file: Annotated[str, said("What the file says, as JSON.")]
    takes: Annotated[str, said("What takes it over: reload or restart.")]


class Differences(Result, frozen=True):
    """What the running node does not go by yet."""

    changes: Annotated[tuple[Change, ...], said("Each setting that differs; empty when none does.")]


class SetArgs(Args, frozen=True):
    """Which setting, and its value."""

    setting: Annotated[str, said("Its name, such as log_level or pages.url.", positional=True)]
    value: Annotated[
        str, said('As in TOML ("text", 3, true, ["a:1"]) or plain text; "" for the default.', positional=True)
    ]


class SettingChanged(Result, frozen=True):
    """A setting that was changed in the file."""

    setting: Annotated[str, said("Its name.")]
    before: Annotated[str, said("What it was, as JSON.")]
    now: Annotated[str, said("What it is in the file, as JSON.")]
    next: Annotated[str, said("What makes the node go by it.")]


class Reloaded(Result, frozen=True):
    """What the running node took over."""

    taken: Annotated[tuple[str, ...], said("Settings it goes by from now on.")]
    restart: Annotated[tuple[str, ...], said("Settings that wait for a restart.")]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _read(local: Local, file: str | None = None) -> tuple[Config, Path]:
    if file is None:
        home = Home(local.data_dir)
        return home.config(), home.config_file
    path = Path(file)
    try:
        with path.open("rb") as opened:
            return read_config(opened.read(CONFIG_BYTES_MAX + 1), file), path
    except FileNotFoundError:
        raise not_found(f"There is no file {file}.", "file") from None
    except OSError as error:
        raise LocalError("FILE_READ", f"{file} cannot be read: {error.strerror}.", field="file") from None


def _default() -> dict[str, Any]:
    from node.settings import flat

    return flat(Config(name=""))


@local_operation("config", "check", permission="read")
def config_check(local: Local, args: CheckArgs) -> ConfigChecked:
    """Check settings before a node goes by them: a fault is named with its line, and ends in exit code 1."""
    from node import listening, observing
    from node.settings import flat

    config, path = _read(local, args.file)
    if config.api is not None:
        listening.check(config.api, path.parent)
    if config.metrics is not None:
        observing.check(config.metrics)
    known = _default()
    return ConfigChecked(str(path), sum(value != known.get(name) for name, value in flat(config).items()))


@local_operation("config", "show", permission="read")
def config_show(local: Local, args: Nothing) -> Settings:  # noqa: ARG001 - an operation without arguments
    """Show every setting in effect at the next start, those left out of the file with their defaults."""
    from node.settings import flat

    config, path = _read(local)
    known = _default()
    rows = [SettingRow(name, _json(value), value == known.get(name)) for name, value in flat(config).items()]
    return Settings(str(path), tuple(rows))


@operation("config", "diff", permission="read", exit_of=lambda found: REFUSED if found.changes else OK)
async def config_diff(node: Node, args: Nothing) -> Differences:  # noqa: ARG001 - an operation without arguments
    """Show where the file differs from what the running node goes by. Exit code 1 if it does."""
    from node.settings import differences, flat, is_live

    wanted = node.home.config()
    running, file = flat(node.config), flat(wanted)
    return Differences(
        tuple(
            Change(name, _json(running.get(name)), _json(file.get(name)), "reload" if is_live(name) else "restart")
            for name in differences(node.config, wanted)
        )
    )


@local_operation("config", "set", permission="admin")
def config_set(local: Local, args: SetArgs) -> SettingChanged:
    """Change one setting in config.toml; what you wrote around it stays. A value that is not right changes nothing."""
    from node.settings import flat, is_live, with_setting

    config, path = _read(local)
    changed = with_setting(path.read_bytes(), args.setting, args.value, str(path))
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, path.stat().st_mode & 0o777)
    with os.fdopen(descriptor, "wb") as file:
        file.write(changed)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    before, now = flat(config).get(args.setting), flat(read_config(changed, str(path))).get(args.setting)
    takes = "maille config reload" if is_live(args.setting) else "Restart the node."
    return SettingChanged(args.setting, _json(before), _json(now), takes)


@operation("config", "reload", permission="admin")
async def config_reload(node: Node, args: Nothing) -> Reloaded:  # noqa: ARG001 - an operation without arguments
    """Have the running node read its settings again. No channel is dropped; what needs a restart is named."""
    from node.settings import differences, is_live, reload

    wanted = node.home.config()
    found = differences(node.config, wanted)
    await reload(node, wanted)
    waits = differences(node.config, wanted)
    return Reloaded(tuple(name for name in found if is_live(name) and name not in waits), tuple(waits))
