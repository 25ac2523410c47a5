"""Bar charts and histograms."""

from matplotlib.container import BarContainer

from . import axis


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
    group = axis.label(container, "_container", "Group")
    values = [bar.get_width() if horizontal else bar.get_height() for bar in container]
    centres = [bar.get_y() + bar.get_height() / 2 if horizontal else bar.get_x() + bar.get_width() / 2 for bar in container]
    return [
        {"label": label, "group": group, "value": float(value)} for label, value in zip(_labels(base, centres), values)
    ]


def _labels(base, centres):
    """One label per bar. Groups of bars share the ticks between them, so their number counts before their place."""
    texts = axis.tick_texts(base)
    if len(texts) == len(centres):
        return texts
    at = {round(float(place), 9): text for place, text in zip(base.get_ticklocs(), texts)}
    return [at.get(round(float(centre), 9)) or _text(axis.on_axis(base, float(centre))) for centre in centres]


def _text(place):
    return f"{place:g}" if isinstance(place, float) else str(place)
