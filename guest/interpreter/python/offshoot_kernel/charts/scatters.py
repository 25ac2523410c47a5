"""Scatter charts."""

from matplotlib.collections import PathCollection

from . import axis


def extract(ax):
    groups = [collection for collection in ax.collections if isinstance(collection, PathCollection)]
    return {"type": "scatter", **axis.labels(ax), **axis.ticks(ax), "elements": [_group(ax, group) for group in groups]}


def _group(ax, group):
    points = group.get_offsets().tolist()
    return {
        "label": axis.label(group, ax._children, "Group"),
        "points": [[axis.value(ax.xaxis, x), axis.value(ax.yaxis, y)] for x, y in points],
    }
