"""Good files to start from, by the name of their parser: small, made here, of every shape a parser knows.

What a format can write is written from a made-up household; what it only reads is taken from the tests of its adapter.
"""

from __future__ import annotations

import json

from ledger.errors import LocalError
from node.adapters import enedis_calendars, household, registry, senml
from node.adapters.adapter import Adapter
from node.adapters.consents import formats
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.fuzz.parsers import CASES
from tests.node.adapters import (
    test_adict,
    test_archive,
    test_data_connect,
    test_enedis_layouts,
    test_enedis_services,
    test_green_button,
    test_quoalise,
    test_sen1,
)
from tests.node.adapters.consents import (
    test_data_connect_access,
    test_droit_acces,
    test_exports,
    test_quoalise_authorize,
    test_sge_proxy,
)
from tests.node.adapters.consents.ours import ours
from tests.node.adapters.test_grdf_pygazpar import row

_LAYOUTS = (
    test_enedis_layouts.curve("12345678901234", *test_enedis_layouts.ROWS),
    test_enedis_layouts.curve("12345678901234", *test_enedis_layouts.ROWS, step=""),
    test_enedis_layouts.table("31/10/2021T02:00", "31/10/2021T02:30", "31/10/2021T02:00"),
    f"{test_enedis_layouts.SHORT}\n12345678901234;Consommation quotidienne;01/01/2021;02/01/2021\n\n"
    "Date;Valeur (en Wh)\n2021-01-07;5\n2021-01-08;\n",
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite\n"
    "12345678901234;Index;20/10/2020;02/02/2022;Energie active;Consommation;Comptage Brut;\n"
    "Horodate;Type de releve;EAS F1;EAS T\n2021-01-07T00:00:00+01:00;Arrêté quotidien;1;2\n",
)
_PERIOD = "Du 2021-01-07T00:00:00+01:00 au 2021-01-08T00:00:00+01:00"
_MADE = {
    "sen1": (test_sen1.MESSAGE.encode(),),
    "quoalise-xml": (test_quoalise.DOCUMENT.encode(), test_quoalise.OLDER.encode()),
    "green-button-of-others": (test_green_button.FOREIGN.encode(),),
    "adict": (test_adict.file(test_adict.line(16), test_adict.line(17, energie=None)),),
    "consent-droit-acces": (test_droit_acces.file(test_droit_acces.LINE, test_droit_acces.TRAILER),),
    "consent-data-connect": (
        test_data_connect_access.file(test_data_connect_access.SERVICE),
        json.dumps(test_data_connect_access.TOKEN).encode(),
        test_data_connect_access.NOTICE.encode(),
    ),
    "consent-sge-declaration": (formats.write(ours(), "sge-declaration"),),
    "consent-sge-proxy": (test_sge_proxy.zipped(), test_sge_proxy.sqlite()),
    "consent-quoalise-authorize": (
        test_quoalise_authorize.COMMAND.encode(),
        test_quoalise_authorize.ADDRESS.encode(),
    ),
    "consent-eddie": (formats.write(ours(), "eddie"),),
    "consent-odrl": (formats.write(ours(), "odrl"),),
    "consent-cozy-sharing": (formats.write(ours(**test_exports.COZY), "cozy-sharing"),),
    "enedis-export": (
        f"{_LAYOUTS[0]}{enedis_calendars.HEADER}\n{_PERIOD}{';' * enedis_calendars.HEADER.count(';')}\n".encode(),
        _LAYOUTS[4].encode(),
    ),
    "enedis-csv": tuple(text.encode() for text in _LAYOUTS),
    "enedis-csv-daily": (
        b"Date;Valeur (en Wh)\n2021-01-07;5\n2021-01-08;\n",
        b"Date;Consommation (en kWh)\n07/01/2021;5,5\n",
    ),
    "data-connect": tuple(
        json.dumps(one).encode()
        for one in (
            test_data_connect.CURVE5,
            test_data_connect.CURVE2026,
            test_data_connect.v3(["1", None]),
            test_data_connect.v5([("2026-01-14", "5")], kind="energy", unit="Wh"),
        )
    ),
    "sge-soap": (test_enedis_services.sge(test_enedis_services.M1, test_enedis_services.M2),),
    "enedis-flux": (
        test_enedis_services.r50((test_enedis_services.POINT, test_enedis_services.ROW)),
        test_enedis_services.R4Q.format(
            test_enedis_services.R4Q_CURVE.format("kW", "CONS", "EA", test_enedis_services.R4Q_POINTS)
        ).encode(),
    ),
    "grdf-pygazpar": (json.dumps([row(), row("10/05/2019", start_index_m3=9647)]).encode(),),
    "zip": (test_archive.packed(*test_archive.CURVES),),
    "declaration": (test_enedis_services.declared(),),
}
SERIES = (
    household.load_curve(7, 1_600_000_000, 1, gaps=3),
    household.daily_totals(7, 1_600_000_000, 3),
    Series.from_readings(
        SeriesKey("pce:12345678901234", "gas", "consumption", "daily", "P1D", "kWh"),
        [Reading(1_600_034_400 + 86_400 * n, 86_400, n or None) for n in range(3)],
    ),
)


def seeds(name: str) -> tuple[bytes, ...]:
    """Return the seeds of a parser, none for one that has no good file of its own."""
    if name in CASES:
        return CASES[name].seeds()
    if name in _MADE:
        return _MADE[name]
    adapter = next((one for one in registry.adapters() if one.name == name), None)
    return _written(adapter) if adapter is not None else ()


def _written(adapter: Adapter) -> tuple[bytes, ...]:
    found = []
    if adapter.name == "senml-cbor":
        return tuple(map(senml.encode_cbor, SERIES))
    for one in SERIES if adapter.write is not None else ():
        try:
            found.append(adapter.write([one]) if adapter.write is not None else b"")
        except LocalError:  # a format without a place for this series
            continue
    return tuple(found)
