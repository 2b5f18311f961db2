"""Promise: the quickstart notebook runs from top to bottom, inside a running event loop."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_quickstart_notebook_runs() -> None:
    """No cell fails; the transcript is HTML with both speakers, and the receipt says applied."""
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(EXAMPLES)}})
    done = client.execute()
    results = [output for cell in done.cells for output in cell.get("outputs", []) if "data" in output]
    shown = results[0]["data"]["text/html"]
    assert "alice" in shown
    assert "bob" in shown
    assert any("applied" in output["data"].get("text/plain", "") for output in results)
