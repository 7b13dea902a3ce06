"""Why a picture has no crop: what align writes into `drop_reason`, each reason a sentence of its own."""

LARGEST = 2**26  # pixels that are decoded
SMALLEST = 8  # pixels of a side

EMPTY = "picture file is empty"
UNDECODABLE = "picture does not decode"
CUT_SHORT = "picture file is cut short"
HUGE = f"picture has more than {LARGEST:,} pixels"
TINY = f"picture has a side below {SMALLEST} pixels"
DEEP = "picture has 32-bit or floating-point values"

NO_LANDMARKS = "no usable landmarks"
NO_BOX = "no usable box"
NO_FACE = "no face found"
NO_MATCH = "no face where the annotation has it"
NO_SPAN = "detected points lie in one place"
