"""The pictures in docs/images.md can be made from a store with all four channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.config import PreprocessConfig
from data.detector.gallery import main
from data.preprocessing.stage import run as preprocess


def test_pictures_of_real_events(real_data: Path, tmp_path: Path) -> None:
    from matplotlib import image

    source = real_data / "real" / "DoublePhoton_Run2012B_0.ig"
    store = str(tmp_path / "events.h5")
    preprocess(PreprocessConfig(input=[str(source)], output=Path(store)))
    for name, options in (("event.png", []), ("jet.png", ["--jet", "--index", "3"])):
        main([store, str(tmp_path / name), *options])
        picture = image.imread(tmp_path / name)
        assert picture.shape[1] > 1000
        assert np.ptp(picture[..., 0]) > 0.5
        assert (tmp_path / name).stat().st_size < 250_000
