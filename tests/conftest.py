"""Settings of every test: how hard Hypothesis searches, and the seed it starts from.

`MAILLE_PROFILE=ci` (the default) is quick; `MAILLE_PROFILE=nightly` searches much longer. The seed is chosen
anew for each run and printed in the header; `pytest --hypothesis-seed=N` repeats a run. A failing property
also prints a `@reproduce_failure` line.
"""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from node.logs import Forward
from tests.covering import MARKER, Covering

EXAMPLES = {"ci": 60, "nightly": 2_000}
"""Examples for each property, by profile. A test that is costly or cheap may set its own `max_examples`."""

PROFILE = os.environ.get("MAILLE_PROFILE", "ci")

for name, examples in EXAMPLES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,  # a time limit on a shared machine fails at random
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],  # a time limit too, under another name
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that has the run recorded."""
    parser.addoption("--cover", type=Path, default=None, help="write which tests with `covers` markers passed")


def pytest_configure(config: pytest.Config) -> None:
    """Load the chosen profile; an unknown one stops the run. Know the marker `covers` (tests/covering.py)."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(Covering(config.getoption("--cover")), "covering")
    if PROFILE not in EXAMPLES:
        raise pytest.UsageError(f"MAILLE_PROFILE is {PROFILE!r}; choose one of {', '.join(EXAMPLES)}")
    settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Choose a seed, unless the command line gave one, before Hypothesis reads it."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(random.SystemRandom().getrandbits(32))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Take back how a test set up the log: it writes where this test's output went, which is closed for the next."""
    if structlog.is_configured():
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = [one for one in logging.getLogger().handlers if not isinstance(one, Forward)]


def pytest_report_header(config: pytest.Config) -> str:
    """Print what repeats this run."""
    return f"maille: MAILLE_PROFILE={PROFILE} pytest --hypothesis-seed={config.option.hypothesis_seed}"
