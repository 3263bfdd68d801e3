"""How fast images of a folder come: decoded each time, and from the cache of decoded pixels.

python benchmarks/image_folder.py --files 2000 --batches 50
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from srvae_plugin.data.own.images import image_folder

_BATCH = 64


def main() -> None:
    """Write JPEG files of 178x218, CelebA's size, and draw batches of 64x64 from them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--batches", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        generator = np.random.default_rng(0)
        for number in range(options.files):
            coarse = generator.integers(0, 256, (22, 18, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((178, 218), Image.Resampling.BICUBIC)
            picture.save(Path(place) / f"{number:06}.jpg", quality=90)
        for cached in (False, True):
            data = image_folder(place, cached=cached)
            begun = time.perf_counter()
            data.observations_at(np.arange(1))
            first = time.perf_counter() - begun
            random_state, begun = np.random.RandomState(0), time.perf_counter()
            for _ in range(options.batches):
                data.sample_observations(_BATCH, random_state)
            rate = options.batches * _BATCH / (time.perf_counter() - begun)
            kind = "from the cache" if cached else "decoded each time"
            print(f"{kind}: {rate:,.0f} images/s; the first image after {first:.2f} s")


if __name__ == "__main__":
    main()
