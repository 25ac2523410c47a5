"""Line charts."""

from . import axis


def extract(ax):
    return {"type": "line", **axis.labels(ax), **axis.ticks(ax), "elements": [_line(ax, line) for line in ax.get_lines()]}


def _line(ax, line):
    points = zip(line.get_xdata(), line.get_ydata())
    return {
        "label": axis.label(line, "_child", "Line"),
        "points": [[axis.value(ax.xaxis, x), axis.value(ax.yaxis, y)] for x, y in points],
    }
