"""The systemd unit of a node: hardened, told when it is ready, its passphrase as a sealed credential.

How it works
    `unit` returns the text; the same text is what `maille service check` and the doctor hold an installed unit
    against. The service sees the data directory and nothing else it could write to. `Type=notify` makes systemd wait
    until channels and API are up; `ExecReload` has the settings read again without dropping a channel.

What it does not do
    It starts nothing: systemctl does. Other service managers run `maille node run` in the foreground likewise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

NAME: Final = "maille.service"
DIRECTORY: Final = Path("/etc/systemd/system")
CREDENTIAL_FILE: Final = "/etc/credstore.encrypted/maille-passphrase"

_UNIT: Final = """\
# Written by `maille service install`. Change it by: systemctl edit {name}
[Unit]
Description=maille: a node of an energy-data mesh
Documentation=man:maille(1)
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=notify
ExecStart={program} node run --data-dir {data_dir}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
TimeoutStopSec=15
{user}{credential}LimitNOFILE=65536

# It writes to its data directory alone, and sees of the rest what a program needs.
{state}ProtectSystem=strict
ProtectHome={home}
{temporary}
PrivateDevices=yes
PrivateUsers={users}
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX{families}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
# MemoryDenyWriteExecute stays off: computations that recipients bring are compiled (wasmtime).
NoNewPrivileges=yes
RemoveIPC=yes
CapabilityBoundingSet={capability}
AmbientCapabilities={capability}
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077

[Install]
WantedBy=multi-user.target
"""


_NO_PRIVATE_TMP: Final = (
    "# PrivateTmp stays off: the data directory lies in a temporary place, which it would hide from the service. What\n"
    "# lies there is cleaned away by the system: move the data directory before you rely on this node."
)


def unit(program: str, data_dir: Path, *, sealed: bool, low_ports: bool, lan: bool = False) -> str:
    """Return the unit's text.

    `program`: the command's path. `sealed`: its passphrase comes as a credential, sealed with systemd-creds.
    `low_ports`: it listens below 1024, which takes a capability. `lan`: it looks around in the local network, for which
    it asks the system for its addresses (netlink). In /var/lib/maille the service has a user of its own that systemd
    makes (DynamicUser); elsewhere it runs as whoever owns the data directory.
    """
    own = data_dir == Path("/var/lib/maille")
    user = "DynamicUser=yes\n" if own else f"User={_owner(data_dir)}\n"
    state = "StateDirectory=maille\nStateDirectoryMode=0700\n" if own else f"ReadWritePaths={data_dir}\n"
    return _UNIT.format(
        name=NAME,
        program=program,
        data_dir=data_dir,
        user=user,
        state=state,
        credential=f"LoadCredentialEncrypted=maille-passphrase:{CREDENTIAL_FILE}\n" if sealed else "",
        temporary=_NO_PRIVATE_TMP if _is_temporary(data_dir) else "PrivateTmp=yes",
        home="yes" if own else "read-only",
        users="no" if low_ports else "yes",
        families=" AF_NETLINK" if lan else "",
        capability="CAP_NET_BIND_SERVICE" if low_ports else "",
    )


def _is_temporary(data_dir: Path) -> bool:
    return any(data_dir.is_relative_to(place) for place in ("/tmp", "/var/tmp"))


def _owner(data_dir: Path) -> str:
    try:
        return data_dir.owner()
    except (KeyError, OSError):
        return "root"
