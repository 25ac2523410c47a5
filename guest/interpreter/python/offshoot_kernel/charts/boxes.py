"""Box-and-whisker charts."""

from ..boxplots import box_of
from . import axis


def extract(ax):
    boxes = [box for box in map(box_of, ax.get_children()) if box]
    horizontal = all(lies for _, _, lies in boxes)
    texts = _texts(ax.yaxis if horizontal else ax.xaxis)
    elements = []
    for stats, place, _ in boxes:
        element = _element(stats, place, texts)
        # The same data drawn twice (for another look of the boxes) is one box.
        if element not in elements:
            elements.append(element)
    return {"type": "box_and_whisker", **axis.labels(ax, horizontal), "elements": elements}


def _texts(base):
    return {float(place): text for place, text in zip(base.get_ticklocs(), axis.tick_texts(base))}


def _element(stats, place, texts):
    return {
        "label": str(stats.get("label") or texts.get(place) or f"{place:g}"),
        "min": float(stats["whislo"]),
        "first_quartile": float(stats["q1"]),
        "median": float(stats["med"]),
        "third_quartile": float(stats["q3"]),
        "max": float(stats["whishi"]),
        "outliers": [float(value) for value in stats.get("fliers", [])],
    }
