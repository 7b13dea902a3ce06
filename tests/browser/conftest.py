"""The road of the pipeline's tests is what the browser looks at."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))
