"""How hard the generated set is: every number that makes expressions weaker or pictures worse, in one place.

Chosen near the sketch's "medium" setting before any technique was tried on the set; never touched to please one.
"""

# Expressions
VOTE_CONCENTRATION = 14.0  # Dirichlet concentration of a face's votes around its class's mean
EXPRESSIVITY = (0.60, 1.0)  # overall strength of a face's expression
UNIT_SPREAD = 0.28  # log-normal spread of each unit's strength
UNIT_LOST = 0.12  # share of a class's units that a face hardly shows
STRAY_UNIT = 0.05  # probability of each unit appearing without reason
STRAY_LEVEL = (0.20, 0.55)
SIDE_SPREAD = 0.08  # ordinary left/right difference
UNILATERAL = 0.04  # probability that a two-sided unit works on one side only
UNILATERAL_MORE = {10: 0.09, 12: 0.08, 14: 0.25, 2: 0.12}

# People
PERSON_GAIN = 0.18  # log-normal spread of each unit's visible effect
RESTING_BIAS = 1.0  # how much a face at rest may look like an expression

# Pictures
POSE = 1.0
DEGRADATION = 0.85
OCCLUDED = 0.18  # share of pictures with something in front
GREY = 0.10  # share of grey pictures
SUNGLASSES = 0.08  # share of a glasses wearer's pictures

# Annotators
LANDMARK_ERROR = 0.04  # mean distance from the true point, in eye distances
