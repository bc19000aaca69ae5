"""Templates and static files: how a page is made of a template, values and a language.

How it works
    Templates carry both languages side by side, `say("Log in", "Se connecter")`; everything is escaped, and an unknown
    name is an error. A static file is served under a path that holds its hash, so that browsers keep it for ever, and
    scripts are named with their SHA-384 (`integrity`).

What it does not do
    It reads files at start alone, and no template reads the world.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from node.pages import wording
from node.pages.settings import Language

HERE: Final = Path(__file__).parent
HTMX_SHA384: Final = "Qp9rdC8H7EqOoX+nR0P3RPG2Noji+qdwJlGpfzwQJsfOpp3sGwIdSP9xO3+UlEhn"
"""Of static/htmx.min.js: dist/htmx.min.js of the npm package htmx.org 4.0.1 (0BSD)."""
_STICKS: Final = re.compile(r" (?=[?!:;»])|(?<=«) ")
"""Spaces at which a French line is never broken."""
TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Static:
    """One file. `digest`: base64 of its SHA-384."""

    name: str
    body: bytes
    media_type: str
    digest: str

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"/static/{hashlib.sha256(self.body).hexdigest()[:16]}/{self.name}"

    @property
    def integrity(self) -> str:
        """The value of the attribute of that name."""
        return f"sha384-{self.digest}"


def unbroken(french: str) -> str:
    """Return a French line with spaces that do not break where French wants them."""
    return _STICKS.sub("\u00a0", french)


def read_static(folders: Sequence[Path] = (HERE,)) -> dict[str, Static]:
    """Return the static files of folders by name."""
    found = {}
    for path in sorted(path for folder in folders for path in (folder / "static").iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            digest = b64encode(hashlib.sha384(body).digest()).decode()
            found[path.name] = Static(path.name, body, TYPES[path.suffix], digest)
    return found


@lru_cache
def _environment(folders: tuple[Path, ...]) -> Environment:
    """Return what templates are compiled by, and kept in: one for all that serve the same folders."""
    return Environment(
        loader=FileSystemLoader([folder / "templates" for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


class Renderer:
    """See the module. `folders`: of templates and static files; the first that has a template counts.

    `zone`: in which times of day are told; None: in UTC, which each of them says.
    """

    def __init__(self, folders: Sequence[Path] = (HERE,), zone: ZoneInfo | None = None) -> None:
        self._zone = zone
        self.static = read_static(folders)
        self.by_path = {one.path: one for one in self.static.values()}
        self._environment = _environment(tuple(folders))

    def warm(self) -> Iterator[None]:
        """Compile the templates, one a step: otherwise the first person who opens a page waits for it."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)
            yield

    def page(self, template: str, lang: Language, now: int, /, **values: Any) -> str:
        """Return a page in a language."""
        fr = lang == "fr"

        def say(english: str, french: str) -> str:
            return unbroken(french) if fr else english

        found = self._environment.get_template(template)
        return found.render(
            lang=lang,
            say=say,
            now=now,
            static=self.static,
            day=lambda time: wording.day(time, lang),
            date=lambda time: wording.date(time, lang, self._zone),
            moment=lambda time: wording.moment(time, lang, self._zone),
            zone=self._zone.key if self._zone is not None else "UTC",
            left=lambda time: wording.left(time, now, lang),
            single=lambda count: count == 1 or (fr and count == 0),  # what a count is of stands in the singular
            **values,
        )
