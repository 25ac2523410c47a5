"""Bar charts and histograms."""

import math

from matplotlib.category import StrCategoryFormatter
from matplotlib.container import BarContainer
from matplotlib.dates import AutoDateFormatter, ConciseDateFormatter
from matplotlib.ticker import FixedFormatter, FixedLocator, LogFormatter, LogFormatterSciNotation, ScalarFormatter

from . import axis

_PLAIN = (ScalarFormatter, LogFormatter, LogFormatterSciNotation, AutoDateFormatter, ConciseDateFormatter)


def extract(ax):
    containers = [container for container in ax.containers if isinstance(container, BarContainer)]
    horizontal = bool(containers) and all(container.orientation == "horizontal" for container in containers)
    return {
        "type": "bar",
        **axis.labels(ax, horizontal),
        "elements": [bar for container in containers for bar in _bars(ax, container)],
    }


def _bars(ax, container):
    horizontal = container.orientation == "horizontal"
    base = ax.yaxis if horizontal else ax.xaxis
    group = axis.label(container, ax.containers, "Group")
    values = [bar.get_width() if horizontal else bar.get_height() for bar in container]
    centres = [bar.get_y() + bar.get_height() / 2 if horizontal else bar.get_x() + bar.get_width() / 2 for bar in container]
    return [
        {"label": label, "group": group, "value": float(value)} for label, value in zip(_labels(base, centres), values)
    ]


def _labels(base, centres):
    """One label per bar: what the axis says at its place, else the value there."""
    ticks = [(float(place), text) for place, text in zip(base.get_ticklocs(), axis.tick_texts(base))]
    if _is_plain(base):
        ticks = [(place, _text(axis.on_axis(base, place))) for place, _ in ticks]
    at = {round(place, 9): text for place, text in ticks if text}
    labels = [at.get(round(float(centre), 9)) for centre in centres]
    if not all(labels) and _one_each(base, [place for place, _ in ticks], centres):
        return [text for _, text in ticks]
    return [text or _text(axis.on_axis(base, float(centre))) for text, centre in zip(labels, centres)]


def _is_plain(base):
    """Whether the axis writes values in its own way, which may leave out what all have in common."""
    return type(base.get_major_formatter()) in _PLAIN


def _one_each(base, places, centres):
    """Whether the ticks were made for the bars, one each: groups of bars share the ticks between them.

    Ticks that matplotlib chose may be as many by chance; so may those that were chosen for another reason.
    """
    if len(places) != len(centres):
        return False
    if isinstance(base.get_major_formatter(), (FixedFormatter, StrCategoryFormatter)):
        return True
    if not isinstance(base.get_major_locator(), FixedLocator):
        return False
    near = min((abs(b - a) for a, b in zip(places, places[1:])), default=math.inf) / 2
    return not _is_plain(base) or all(abs(place - centre) <= near for place, centre in zip(places, centres))


def _text(place):
    if not isinstance(place, float):
        return str(place)
    return str(int(place)) if place.is_integer() and abs(place) < 1e15 else f"{place:g}"
