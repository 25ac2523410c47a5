"""Result formats beyond those of IPython: `e2b/data`, `e2b/chart` and JSON for plain lists and dicts."""

import orjson
from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

from . import boxplots
from .on_import import on_import


class DataFormatter(BaseFormatter):
    """Tables as column → list of values."""

    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = dict


class ChartFormatter(BaseFormatter):
    """The numbers behind a matplotlib figure."""

    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = dict


def install(shell):
    """Registers the formats; pandas and matplotlib types by name, so that neither is imported."""
    formatter = shell.display_formatter

    data = DataFormatter(parent=formatter)
    for module in ("pandas", "pandas.core.frame"):  # pandas 3 and before
        data.for_type_by_name(module, "DataFrame", _data_of_frame)
    formatter.formatters[data.format_type] = data

    chart = ChartFormatter(parent=formatter)
    formatter.formatters[chart.format_type] = chart
    # A method, since matplotlib's inline backend unregisters every printer of Figure when it starts.
    on_import("matplotlib.figure", lambda module: setattr(module.Figure, chart.print_method, _chart_of_figure))
    boxplots.install()

    json = formatter.formatters["application/json"]
    json.for_type(list, plain_json)
    json.for_type(dict, plain_json)


def plain_json(value):
    """`value` reduced to JSON types, or None when something in it has no JSON form."""
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return None


def _data_of_frame(frame):
    from .tables import data_of_frame

    return data_of_frame(frame)


def _chart_of_figure(figure):
    from .charts import chart_of_figure

    try:
        return chart_of_figure(figure)
    except Exception:
        # A figure whose data cannot be read is still shown as a picture.
        return {}
