"""Remembers the statistics of each box on the artist that draws it.

Matplotlib keeps only the lines of a box plot; reading the numbers back from them would be guesswork.
"""

from .on_import import on_import

_ATTRIBUTE = "_offshoot_box"


def install():
    """Takes effect when matplotlib's axes are imported."""
    on_import("matplotlib.axes._axes", _patch)


def box_of(artist):
    """(statistics, position, horizontal) of the box that `artist` draws, or None."""
    return getattr(artist, _ATTRIBUTE, None)


def _patch(module):
    draw = module.Axes.bxp

    def bxp(self, bxpstats, positions=None, *args, **kwargs):
        stats = list(bxpstats)
        artists = draw(self, stats, positions, *args, **kwargs)
        horizontal = kwargs.get("orientation") == "horizontal" or kwargs.get("vert") is False
        places = range(1, len(stats) + 1) if positions is None else positions
        # A plot without boxes still has one median per box.
        for artist, one, place in zip(artists["boxes"] or artists["medians"], stats, places):
            setattr(artist, _ATTRIBUTE, (one, float(place), horizontal))
        return artists

    bxp.__doc__ = draw.__doc__
    module.Axes.bxp = bxp
