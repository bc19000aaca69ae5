"""The operator pages without a browser: log-in, permissions, forms, headers, each page in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.console.visiting import PATHS, visiting


@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_each_page_answers_in_both_languages_and_has_nothing_inline(tmp_path: Path, lang: str) -> None:
    async with visiting(tmp_path) as visit:
        await visit.log_in()
        for path in PATHS:
            answer = await visit.get(path, **{"accept-language": lang})
            assert answer.status_code == 200, (path, answer.text)
            assert f'<html lang="{lang}">' in answer.text
            assert answer.text.count("<h1") == 1, path
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text), path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"
