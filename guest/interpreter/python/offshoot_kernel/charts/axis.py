"""What the axes of a plane chart say: labels with units, ticks, scales, and values in the terms of an axis."""

import datetime
import math
import re

import numpy
from matplotlib import dates
from matplotlib.category import StrCategoryConverter, UnitData

_UNIT = re.compile(r"\s\((.*?)\)|\s\[(.*?)\]")
_DATE_CONVERTERS = (dates.DateConverter, dates.ConciseDateConverter, dates._SwitchableDateConverter)


def labels(ax, horizontal=False):
    """Title, axis labels and units. `horizontal` charts are described as if they stood upright."""
    x_label, y_label = ax.get_xlabel() or None, ax.get_ylabel() or None
    if horizontal:
        x_label, y_label = y_label, x_label
    return {
        "title": ax.get_title() or None,
        "x_label": x_label,
        "y_label": y_label,
        "x_unit": _unit(x_label),
        "y_unit": _unit(y_label),
    }


def ticks(ax):
    """Tick positions, their labels and the scale of both axes."""
    described = {}
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        positions = axis.get_ticklocs()
        texts = tick_texts(axis)
        described[f"{name}_ticks"] = [_tick(axis, position) for position in positions]
        described[f"{name}_tick_labels"] = texts
        described[f"{name}_scale"] = scale(axis, positions, texts)
    return described


def tick_texts(axis):
    return [text.get_text() for text in axis.get_majorticklabels()]


def scale(axis, positions, texts):
    """linear, datetime, categorical, or the name of matplotlib's scale."""
    if is_date(axis):
        return "datetime"
    if axis.get_scale() != "linear":
        return axis.get_scale()
    if is_categorical(axis):
        return "categorical"
    if len(positions) and all(at == i and text != str(i) for i, (at, text) in enumerate(zip(positions, texts))):
        return "categorical"
    return "linear"


def is_date(axis):
    return isinstance(_converter(axis), _DATE_CONVERTERS)


def is_categorical(axis):
    return isinstance(_converter(axis), StrCategoryConverter)


def value(axis, raw):
    """A value of a series as JSON: dates as ISO strings, categories by name, non-finite numbers as None."""
    if isinstance(raw, (datetime.date, datetime.time)):
        return raw.isoformat()
    if isinstance(raw, numpy.datetime64):
        return str(raw)
    if isinstance(raw, str):
        return str(raw)
    try:
        number = float(raw)
    except (TypeError, ValueError):
        return str(raw)
    return on_axis(axis, number)


def on_axis(axis, number):
    """A position on `axis` as the value it stands for."""
    if not math.isfinite(number):
        return None
    if is_date(axis):
        return dates.num2date(number).isoformat()
    if is_categorical(axis) and isinstance(axis.units, UnitData):
        names = {index: name for name, index in axis.units._mapping.items()}
        return names.get(int(number), number)
    return number


def label(artist, siblings, default):
    """The label a user gave, or `default N`: matplotlib takes a label with a leading `_` for none, and counts `siblings`."""
    text = str(artist.get_label())
    return f"{default} {siblings.index(artist)}" if text.startswith("_") else text


def _tick(axis, position):
    return dates.num2date(position).isoformat() if is_date(axis) else float(position)


def _converter(axis):
    return axis.get_converter() if hasattr(axis, "get_converter") else axis.converter


def _unit(text):
    found = _UNIT.search(text) if text else None
    return (found.group(1) or found.group(2)) if found else None
