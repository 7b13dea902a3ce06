"""The embedded default data set: generated, FACS-driven, shaded 3-D faces in RAF-CE's file layout.

Generated faces, not people: a test bench whose truth is known, never evidence about anybody.

How a picture comes about, one file per step: `layout` plans who is shown in which picture, `expressions` draws
votes and Action Unit intensities, `deform` turns them into positions of lids, brows and lips, `surface` paints
and displaces the head, `render` looks at it through a camera, `degrade` spoils the picture as the web does,
`coder` writes the labels a human coder would write, `clips` moves all of it, `ceiling` measures what can be reached,
`tables` and `writing` put it on disk, in parallel.
"""

from fer_core.standin.config import VERSION, StandinConfig
from fer_core.standin.writing import generate

__all__ = ["VERSION", "StandinConfig", "generate"]
