"""CelebA (Liu et al., 2015): faces of celebrities, without known factors of variation."""

from __future__ import annotations

import logging

from PIL import Image

from srvae_plugin.data.images_only import ImagesOnly
from srvae_plugin.data.storage.array_cache import streamed_array
from srvae_plugin.data.storage.image_files import picture_names, pictures
from srvae_plugin.data.storage.locate import Origin, PathLike, source_key
from srvae_plugin.data.storage.mapped_images import MappedImages

__all__ = ["IMAGE_SHAPE", "NUM_IMAGES", "ORIGIN", "celeba", "cropped_face"]


NUM_IMAGES = 202_599
IMAGE_SHAPE = (64, 64, 3)
ORIGIN = Origin(
    "celeba",
    (
        "celeba/img_align_celeba.zip",
        "celeba/img_align_celeba",
        "celeba/celeba/img_align_celeba",
    ),
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img_align_celeba.zip)",
)

_CACHE_NAME = "celeba-v1-{key}.npy"
_ALIGNED = (178, 218)
_CROP = (15, 35, 163, 183)

_log = logging.getLogger("srvae_plugin")


def celeba(path: PathLike | None = None) -> ImagesOnly:
    """Returns CelebA: 202,599 aligned faces as 64x64x3, without factors.

    Of the 178x218 pictures the centre 148x148 is kept, as most work on 64x64 faces has it, and made
    smaller by Pillow's bilinear filter (which averages). The SR-VAE paper says "cropped" and no
    more.

    The JPEGs are decoded once, on first use (two minutes of one core), and kept in the cache
    (2.5 GB), memory-mapped from then on. Peak memory while that happens (measured): 30 MB, most of
    it the list of names; afterwards none but the pages in use.

    Args:
        path: img_align_celeba.zip or its unpacked folder; by default below ``celeba`` in
            ``$DISENTANGLEMENT_LIB_DATA``. Another number of pictures than 202,599 is taken with a
            warning.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if a picture is damaged or has another size.
    """
    source = ORIGIN.find(path, is_source=True)
    with ORIGIN.reading(source):
        names = picture_names(source, (".jpg",))
    if not names:
        raise ORIGIN.missing(source, what="pictures *.jpg")
    if len(names) != NUM_IMAGES:
        _log.warning("%s: expected %d faces, found %d", source, NUM_IMAGES, len(names))
    images = streamed_array(
        _CACHE_NAME.format(key=source_key(source, names if source.is_dir() else [""])),
        (len(names), *IMAGE_SHAPE),
        lambda: pictures(source, names, cropped_face, ORIGIN),
    )
    return ImagesOnly(MappedImages(images), "celeba", str(source))


def cropped_face(picture: Image.Image) -> Image.Image:
    """The middle of an aligned face of 178x218, at 64x64; ValueError for another size."""
    if picture.size != _ALIGNED:
        width, height = picture.size
        raise ValueError(f"expected an aligned face of 178x218, found {width}x{height}")
    face = picture.convert("RGB").crop(_CROP)
    return face.resize((64, 64), Image.Resampling.BILINEAR)
