"""Pillow images appear as results when they are saved to a path or shown."""

from .on_import import on_import


def install():
    """Takes effect when PIL.Image is imported."""
    on_import("PIL.Image", _patch)


def _patch(module):
    from IPython.display import display

    save = module.Image.save

    def save_and_display(self, fp, format=None, **params):
        if isinstance(fp, str):
            display(self)
        return save(self, fp, format, **params)

    def show(self, title=None):
        display(self)

    save_and_display.__doc__ = save.__doc__
    module.Image.save = save_and_display
    module.Image.show = show
