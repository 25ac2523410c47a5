"""Pie charts."""

from matplotlib.patches import Wedge


def extract(ax):
    wedges = [patch for patch in ax.patches if isinstance(patch, Wedge)]
    return {"type": "pie", "title": ax.get_title() or None, "elements": [_wedge(wedge) for wedge in wedges]}


def _wedge(wedge):
    return {
        "label": wedge.get_label(),
        # Matplotlib computes in single precision: 323.99997 of a 90 % slice means 324.
        "angle": round(abs(float(wedge.theta2) - float(wedge.theta1)), 4),
        "radius": float(wedge.r),
    }
