"""axe-core, which looks for what shuts people out of a page: taken from npm into the cache, checked, never committed."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from deploy.local.places import default_cache

VERSION: Final = "4.14.1"
INTEGRITY: Final = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""SHA-512 of the package, as npm's registry names it."""

NPM_SECONDS: Final = 120


def axe_source(cache: Path | None = None) -> str:
    """The script. Raises AssertionError with a sentence where npm is missing, or the package is not the one expected."""
    kept = (cache or default_cache()) / "npm" / f"axe-core-{VERSION}.tgz"
    if not kept.exists():
        _fetch(kept)
    package = kept.read_bytes()
    assert base64.b64encode(hashlib.sha512(package).digest()).decode() == INTEGRITY, (
        f"{kept} is not axe-core {VERSION}: delete it"
    )
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


async def axe_findings(page: Page) -> list[str]:
    """What axe has to say of the page as it stands, a line each; none when all is well."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(axe_source())
    result: Any = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']}: {found['help']} at {', '.join(' '.join(map(str, node['target'])) for node in found['nodes'][:5])}"
        for found in result["violations"]
    ]


def _fetch(kept: Path) -> None:
    npm = shutil.which("npm")
    assert npm, "The tests of pages need npm, to take axe-core from: install it and put it on PATH."
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        subprocess.run(
            [npm, "pack", f"axe-core@{VERSION}", "--pack-destination", folder],
            check=True,
            capture_output=True,
            timeout=NPM_SECONDS,
            cwd=folder,
        )
        (Path(folder) / kept.name).replace(kept)
