"""3D Chairs (Aubry et al., 2014): renderings of chairs, without known factors of variation."""

from __future__ import annotations

import logging

from PIL import Image

from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.image_files import picture_names, pictures
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key
from srvae_plugin.data.storage.mapped_images import MappedImages

__all__ = ["IMAGE_SHAPE", "NUM_IMAGES", "ORIGIN", "chairs"]


NUM_IMAGES = 86_366
IMAGE_SHAPE = (64, 64, 3)
ORIGIN = Origin(
    "chairs",
    (
        "chairs/rendered_chairs.tar",
        "chairs/rendered_chairs",
        "rendered_chairs.tar",
        "rendered_chairs",
    ),
    "https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",
)

_CACHE_NAME = "chairs-v1-{key}.npy"

_log = logging.getLogger("srvae_plugin")


def chairs(path: PathLike | None = None) -> ImagesOnly:
    """Returns 3D Chairs: 1,393 chairs from 62 sides, 86,366 images of 64x64x3, without factors.

    Each rendering is kept whole, in colour and on its white ground, and made smaller by Pillow's
    bilinear filter (which averages), as in the beta-VAE code whose network the SR-VAE paper's
    Table 1 is. Other work keeps the centre 400x400 of the 600x600, or makes it grey. (The archive
    gives chair and view in its names, but chairs are too many to be a factor.)

    The renderings are decoded once, on first use (up to ten minutes of one core), and kept in the
    cache (1.1 GB), memory-mapped from then on. Peak memory while that happens: 80 MB, most of it
    the table of the archive (46 MB measured); afterwards none but the pages in use.

    Args:
        path: rendered_chairs.tar or its unpacked folder; by default below ``chairs`` in
            ``$DISENTANGLEMENT_LIB_DATA``. Another number of pictures than 86,366 is taken with a
            warning.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if a rendering is damaged or not square.
    """
    source = ORIGIN.find(path, is_source=True)
    with ORIGIN.reading(source):
        names = [name for name in picture_names(source, (".png",)) if "renders/" in name]
    if not names:
        raise ORIGIN.missing(source, what="pictures rendered_chairs/*/renders/*.png")
    if len(names) != NUM_IMAGES:
        _log.warning("%s: expected %d renderings, found %d", source, NUM_IMAGES, len(names))
    images = streamed_array(
        _CACHE_NAME.format(key=source_key(source, names if source.is_dir() else [""])),
        (len(names), *IMAGE_SHAPE),
        lambda: pictures(source, names, _chair, ORIGIN),
    )
    return ImagesOnly(MappedImages(images), "chairs", str(source))


def _chair(picture: Image.Image) -> Image.Image:
    if picture.width != picture.height:
        raise ValueError(f"expected a square rendering, found {picture.width}x{picture.height}")
    if picture.mode in ("P", "LA", "RGBA", "PA"):
        # Transparent parts are the white ground.
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    return picture.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
