"""Colours of pages and figures, Okabe & Ito's (Color Universal Design, 2008): in light, and their lighter shades in
the dark.
"""

VARIABLES = {
    "#222222": "ink",
    "#6B6B6B": "grey",
    "#D9D9D9": "light",
    "#F3F3F3": "faint",
    "#FFFFFF": "paper",
    "#0072B2": "blue",
    "#E69F00": "orange",
    "#009E73": "green",
    "#D55E00": "vermilion",
    "#CC79A7": "purple",
}
DARK = {
    "ink": "#E8E8E8",
    "grey": "#A3A3A3",
    "light": "#474747",
    "faint": "#262626",
    "paper": "#1A1A1A",
    "blue": "#56B4E9",
    "orange": "#F0B429",
    "green": "#2CC79A",
    "vermilion": "#FF8A4C",
    "purple": "#E59CC4",
}
