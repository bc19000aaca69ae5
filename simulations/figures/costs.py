"""What a mesh costs against a hub, and how available each is: a model, with every parameter stated (R15, R16).

How it works
    `Prices` holds what is assumed. Nothing in it is measured, and every number is there to be changed.
    Federated: each organisation runs a node, and looks after it. Centralised: somebody runs a hub in two places, with
    people on call, audits it, and each organisation integrates with it and pays a part.
    Availability is the part of the time in which one organisation can get data from another. In the mesh both nodes
    must be up. The hub keeps copies: the hub and the recipient must be up; and while it is down, nothing flows at all.

What it does not do
    It knows no price of trust: that a hub sees everything, and can be made to give it away, is in no column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

HOURS_A_YEAR = 8_766


@dataclass(frozen=True, slots=True)
class Prices:
    """Assumptions, in euros a year unless a name says otherwise; all are judgements, yours to replace.

    `node_server`: a small virtual server; `node_hours`: an operator's hours a year for one node. `hub_servers`: two
    places, with databases; `hub_hours`: operation and a rota on call; `hub_compliance`: audit and insurance;
    `hub_hours_a_member`: contracts and integration of one more organisation, each year. `member_hours`: what each
    organisation spends on its end of the hub. `gigabyte`: traffic. `bytes_a_day`: of one node (the figure "traffic"
    measures it for one load).
    `up_node`, `up_hub`: the part of the time in which one node, and the hub, is up.
    """

    hour: float = 50.0
    node_server: float = 72.0
    node_hours: float = 12.0
    hub_servers: float = 12_000.0
    hub_hours: float = 800.0
    hub_compliance: float = 20_000.0
    hub_hours_a_member: float = 4.0
    member_hours: float = 6.0
    gigabyte: float = 0.01
    bytes_a_day: float = 200e6
    up_node: float = 0.99
    up_hub: float = 0.999


def costs(prices: Prices | None = None) -> pl.DataFrame:
    """Return (members, model, euros_a_year, euros_a_member, flow_up, half_down_hours) for 2 to 1 000 members.

    `flow_up`: probability that one organisation can get data from another now; `half_down_hours`: hours a year in which
    half of all organisations or more cannot.
    """
    price = prices or Prices()
    found = []
    for members in (2, 5, 10, 20, 50, 100, 200, 500, 1_000):
        moved = price.bytes_a_day * 365 / 1e9 * price.gigabyte
        mesh = members * (price.node_server + price.node_hours * price.hour + moved)
        hub = price.hub_servers + price.hub_hours * price.hour + price.hub_compliance
        hub += members * (price.hub_hours_a_member + price.member_hours) * price.hour
        down = half_down(members, price.up_node)
        rows = (
            ("mesh", mesh, price.up_node**2, down),
            ("hub", hub, price.up_hub * price.up_node, 1 - price.up_hub * (1 - down)),
        )
        for model, total, flow, half in rows:
            row = {"members": members, "model": model, "euros_a_year": total, "euros_a_member": total / members}
            found.append({**row, "flow_up": flow, "half_down_hours": half * HOURS_A_YEAR})
    return pl.DataFrame(found)


def half_down(members: int, up: float) -> float:
    """Return the probability that half of independent nodes or more are down (a binomial tail)."""
    need = (members + 1) // 2
    return sum(
        math.comb(members, down) * (1 - up) ** down * up ** (members - down) for down in range(need, members + 1)
    )
