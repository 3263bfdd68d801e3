"""Small files in the formats in which the data sets are distributed."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

SHAPES3D = (2, 2, 1, 3, 2, 2)
CARS3D = (4, 24, 2)
SMALLNORB = (2, 4, 1, 3, 2)
MPI3D = (2, 3, 2, 1, 1, 2, 2)
NPZ_OF_SHAPES3D = "look-at-object-room_floor-hueXwall-hueXobj-hueXobj-sizeXobj-shapeXview-azi.npz"
SPLITS = {
    "5x46789x9x18x6x2x96x96-training": (1, 3),
    "5x01235x9x18x6x2x96x96-testing": (0, 2),
}


def noise(num, *shape):
    return np.random.RandomState(7).randint(256, size=(num, *shape)).astype(np.uint8)


def blocks(num):
    """Images of 64x64x3 that compress well."""
    return noise(num, 8, 8, 3).repeat(8, axis=1).repeat(8, axis=2)


def write_shapes3d_h5(folder, change=lambda images, labels: (images, labels)):
    """DeepMind's 3dshapes.h5: gzip in blocks of many images, real valued labels."""
    images = blocks(np.prod(SHAPES3D))
    hue = np.linspace(0, 1, 10, endpoint=False)
    values = [hue[:2], hue[:2], hue[:1], np.linspace(0.75, 1.25, 3), np.arange(2.0)]
    values.append(np.array([-30.0, 30.0]))
    labels = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, 6)
    images, labels = change(images, labels)
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(20, 16, 16, 1), compression="gzip")
        file.create_dataset("labels", data=labels)
    return images


def write_shapes3d_npz(folder, change=lambda images, labels: (images, labels)):
    """The original's own file: one axis for each factor."""
    images = blocks(np.prod(SHAPES3D))
    labels = np.stack(np.meshgrid(*map(np.arange, SHAPES3D), indexing="ij"), axis=-1)
    images, labels = change(images, labels.reshape(-1, 6))
    if len(images) == np.prod(SHAPES3D):
        images = images.reshape(*SHAPES3D, *images.shape[1:])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / NPZ_OF_SHAPES3D, images=images, labels=labels)
    return images.reshape(-1, *images.shape[-3:])


def write_mpi3d(file, images=None, compressed=False):
    images = blocks(np.prod(MPI3D)) if images is None else images
    file.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(file, images=images)
    return images


def write_cars3d(folder, num=CARS3D[2]):
    """MATLAB files of one car each: (128, 128, 3, azimuth, elevation); images of 128x128."""
    small = noise(num * 96, 16, 16, 3).reshape(num, 24, 4, 16, 16, 3)
    cars = small.repeat(8, axis=3).repeat(8, axis=4)
    folder.mkdir(parents=True, exist_ok=True)
    for i in reversed(range(num)):
        im = np.moveaxis(cars[i], (0, 1), (3, 4))
        savemat(folder / f"car_{i + 1:03}_mesh.mat", {"im": im, "x": 1}, do_compression=True)
    (folder / "readme.txt").write_text("not a car")
    return cars


def tar_of(archive, folder, prefix, mode):
    with tarfile.open(archive, mode) as tar:
        for file in sorted(folder.rglob("*"), reverse=True):  # not the order wanted
            if file.is_file():
                tar.add(file, f"{prefix}/{file.relative_to(folder).as_posix()}")


def zip_of(archive, folder, prefix):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, f"{prefix}/{path.relative_to(folder).as_posix()}")


def binary_matrix(array):
    """NORB's format: a magic number for the type, the number of dimensions, at least 3 sizes."""
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[str(array.dtype)]
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    header = struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes)
    return header + array.tobytes()


def write_smallnorb(folder, compressed=False, change=lambda kind, array: array):
    """Six files; the images (5 factors, 96, 96) that are first in their pairs."""
    images = noise(np.prod(SMALLNORB), 24, 24).repeat(4, axis=1).repeat(4, axis=2)
    factors = np.array(list(np.ndindex(*SMALLNORB)), dtype=np.int32)
    order = np.random.RandomState(0).permutation(len(images))
    folder.mkdir(parents=True, exist_ok=True)
    for split, instances in SPLITS.items():
        rows = order[np.isin(factors[order, 1], instances)]
        info = factors[rows, 1:] * np.array([1, 1, 2, 1], dtype=np.int32)
        arrays = {"dat": np.stack([images[rows], 255 - images[rows]], axis=1)}
        arrays |= {"cat": factors[rows, 0].copy(), "info": info}
        for kind, array in arrays.items():
            contents = binary_matrix(change(kind, array))
            name = f"smallnorb-{split}-{kind}.mat"
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(contents, 1))
            else:
                (folder / name).write_bytes(contents)
    return images


def write_celeba(folder, num=5, size=(178, 218)):
    """Aligned faces as JPEGs, smooth enough for JPEG to keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    small = noise(num, 8, 8, 3)
    for i in range(num):
        face = Image.fromarray(small[i]).resize(size, Image.Resampling.BICUBIC)
        face.save(folder / f"{i + 1:06}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


def write_chairs(folder, modes=("RGB", "RGB", "RGBA", "P")):
    """rendered_chairs/<chair>/renders/<view>.png of 60x60, two views a chair."""
    pictures = noise(len(modes), 10, 10, 3).repeat(6, axis=1).repeat(6, axis=2)
    for i, (pixels, mode) in enumerate(zip(pictures, modes, strict=True)):
        file = folder / f"chair{i // 2}" / "renders" / f"image_{i:03}_p020.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels //= 86  # few colours, so that a palette keeps them
        pixels *= 85
        picture = Image.fromarray(pixels)
        picture = picture.quantize(256) if mode == "P" else picture.convert(mode)
        if mode == "RGBA":
            picture.putalpha(Image.fromarray((pixels[..., 0] > 0).astype(np.uint8) * 255))
        picture.save(file)
    (folder / "all_chair_names.mat").write_text("not a picture")
    return sorted(folder.rglob("*.png"))


def bytes_of(picture, **options):
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


def truncate(file: Path, kept: float):
    contents = file.read_bytes()
    file.write_bytes(contents[: int(kept * len(contents))])
