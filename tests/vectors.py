"""The published vectors by name, for the floors that they belong to."""

import json
from pathlib import Path

_FILE = Path(__file__).parent / "golden" / "vectors.json"
VECTORS = {vector["name"]: vector for vector in json.loads(_FILE.read_text())["vectors"]}
