"""Write the golden files that are missing."""

from __future__ import annotations

from tests.golden import FOLDER, files

for name, content in files().items():
    if not (FOLDER / name).exists():
        (FOLDER / name).write_bytes(content)
        print("written:", name)
