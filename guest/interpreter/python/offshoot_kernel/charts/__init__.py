"""Chart data of matplotlib figures, in the structure that the clients' chart types read."""

from .figure import chart_of_figure

__all__ = ["chart_of_figure"]
