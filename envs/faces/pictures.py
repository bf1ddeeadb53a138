"""Pictures of an environment: figures as arrays, several in one, and a window that follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = NDArray[np.uint8]

RENDER_MODES = ("human", "rgb_array")
IN_A_WINDOW = 9  # environments of a vector that a window shows


def figure_image(figure: Figure) -> Image:
    """A figure as an RGB image (H, W, 3); it needs no display and no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def tiled(images: Sequence[Image]) -> Image:
    """Images of one size, side by side and below each other, as one."""
    shown = list(images)
    columns = int(np.ceil(np.sqrt(len(shown))))
    empty = np.full_like(shown[0], 255)
    shown += [empty] * (-len(shown) % columns)
    lines = [np.concatenate(shown[k : k + columns], axis=1) for k in range(0, len(shown), columns)]
    return np.concatenate(lines)


class Window:
    """Shows images as they come: in a matplotlib window, or below the cell of a notebook.

    Where matplotlib has no screen (backend Agg), the figure is drawn and nobody sees it.

    Parameters
    ----------
    title
        Of the window.
    rate
        Images per second, while someone looks.
    """

    def __init__(self, title: str, rate: float) -> None:
        self._title = title
        self._pause = 1 / rate
        self._figure: Any = None
        self._picture: Any = None
        self._cell: Any = None

    def show(self, image: Image) -> None:
        """Replace the picture, opening the window where it is not open."""
        from matplotlib import pyplot as plt

        if "inline" in plt.get_backend():
            self._show_in_notebook(image)
            return
        if self._figure is None or not plt.fignum_exists(self._figure.number):
            self._open(image)
        self._picture.set_data(image)
        canvas = self._figure.canvas
        canvas.draw_idle()
        if canvas.required_interactive_framework is not None:
            canvas.start_event_loop(self._pause)

    def close(self) -> None:
        """Close the window; the next picture opens another."""
        if self._figure is not None:
            from matplotlib import pyplot as plt

            plt.close(self._figure)
        self._figure = self._picture = self._cell = None

    def _open(self, image: Image) -> None:
        from matplotlib import pyplot as plt

        dpi = 100
        height, width = image.shape[:2]
        with plt.rc_context({"toolbar": "None"}):
            self._figure = plt.figure(self._title, figsize=(width / dpi, height / dpi), dpi=dpi)
        axis = self._figure.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        self._picture = axis.imshow(image)
        if self._figure.canvas.required_interactive_framework is not None:
            self._figure.show()

    def _show_in_notebook(self, image: Image) -> None:
        from IPython.display import display
        from PIL.Image import fromarray

        if self._cell is None:
            self._cell = display(fromarray(image), display_id=True)
        else:
            self._cell.update(fromarray(image))
