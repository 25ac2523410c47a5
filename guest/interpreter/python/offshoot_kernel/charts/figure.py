"""Figure → chart: finds out what each axes shows."""

from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, Wedge
from matplotlib.text import Text

from ..boxplots import box_of
from . import bars, boxes, lines, pies, scatters


def chart_of_figure(figure):
    """The chart of a figure, a superchart if it has several axes, {} if nothing is drawn."""
    axes = figure.get_axes()
    if not any(_drawn(ax) for ax in axes):
        return {}
    if len(axes) == 1:
        return _chart_of_axes(axes[0])
    return {
        "type": "superchart",
        "title": figure.get_suptitle() or None,
        "elements": [_chart_of_axes(ax) for ax in axes],
    }


def _chart_of_axes(ax):
    extract = _extractor(_drawn(ax))
    if extract is None:
        return {"type": "unknown", "title": ax.get_title() or None, "elements": []}
    return extract(ax)


def _drawn(ax):
    return [artist for artist in ax.get_children() if artist in ax._children and not isinstance(artist, Text)]


def _extractor(artists):
    """Which chart the artists make up. Helper lines, error bars and filled areas do not change the kind of a chart."""
    if not artists:
        return None
    if any(box_of(artist) for artist in artists):
        return boxes.extract
    data = [artist for artist in artists if not isinstance(artist, (LineCollection, PolyCollection))]
    if data and all(isinstance(artist, Line2D) for artist in data):
        return lines.extract
    data = [artist for artist in data if not _is_helper_line(artist)]
    for kind, extract in ((PathCollection, scatters.extract), (Wedge, pies.extract), (Rectangle, bars.extract)):
        if data and all(isinstance(artist, kind) for artist in data):
            return extract
    return None


def _is_helper_line(artist):
    """A straight horizontal or vertical line (a threshold, a whisker), or one that only carries markers of error bars."""
    if not isinstance(artist, Line2D):
        return False
    if artist.get_linestyle() in ("None", "", " "):
        return True
    x, y = artist.get_xdata(), artist.get_ydata()
    return len(x) == 2 and (x[0] == x[1] or y[0] == y[1])
