"""The examples of docs/client.md run, as one programme, against a real service."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Service
from tests.e2e.pictures import encoded, photo

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_run(service: Service, tmp_path: Path) -> None:
    (tmp_path / "photos" / "sea").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "sea/c.png"), start=300):
        (tmp_path / "photos" / name).write_bytes(encoded(photo(seed), "PNG"))
    programme = "\n".join(EXAMPLE.findall((ROOT / "docs" / "client.md").read_text()))
    finished = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", programme],
        cwd=tmp_path,
        env={**os.environ, "LEAKTRACE_API_URL": service.url, "LEAKTRACE_API_KEY": service.key},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "3 of 3" in finished.stdout
    assert (tmp_path / "case.html").read_bytes().endswith(b"</html>\n")
    assert (tmp_path / "results.csv").read_text().count("\n") == 4
    assert not (tmp_path / "photos.upload").exists()
