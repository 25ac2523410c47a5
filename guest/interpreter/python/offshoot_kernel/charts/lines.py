"""Line charts."""

from matplotlib.container import ErrorbarContainer, StemContainer

from . import axis


def extract(ax):
    caps = [cap for bars in _containers(ax, ErrorbarContainer) for cap in bars.lines[1]]
    lines = [line for line in ax.get_lines() if line not in caps]
    return {"type": "line", **axis.labels(ax), **axis.ticks(ax), "elements": [_line(ax, line) for line in lines]}


def _line(ax, line):
    points = zip(line.get_xdata(), line.get_ydata())
    return {
        "label": _label(ax, line),
        "points": [[axis.value(ax.xaxis, x), axis.value(ax.yaxis, y)] for x, y in points],
    }


def _label(ax, line):
    """Lines with error bars or stems are given their label as a whole; the line itself has none."""
    wholes = [bars for bars in _containers(ax, ErrorbarContainer) if bars.lines[0] is line]
    wholes += [stems for stems in _containers(ax, StemContainer) if stems.markerline is line]
    named = [whole for whole in wholes if not str(whole.get_label()).startswith("_")]
    return str(named[0].get_label()) if named else axis.label(line, ax._children, "Line")


def _containers(ax, kind):
    return [container for container in ax.containers if isinstance(container, kind)]
