"""Draws Newell's teapot (1975): 32 bicubic Bezier patches, shaded and depth-tested.

The patches are cut into triangles once, with the surface's own normals at their corners; an image
is those triangles in a depth buffer of 128 x 128 samples, four of which make a pixel. The teapot's
z axis points up. The camera looks at the middle of its bounding box from as far as shows the whole
teapot at every angle, with a field of view of 48.1 degrees. The only light comes over the camera's
left shoulder: a sample's brightness is .3 + .7 max(0, n . l), with n the normal that faces the
camera (Lambert). The background is black, 0.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "AMBIENT",
    "FIELD_OF_VIEW",
    "IMAGE_SIZE",
    "LIGHT",
    "Mesh",
    "brightness",
    "camera_axes",
    "control_points",
    "render",
    "teapot_mesh",
]


IMAGE_SIZE = 64
FIELD_OF_VIEW = np.deg2rad(48.1)
AMBIENT = 0.3
LIGHT = np.array([-1.0, 1.5, 2.0]) / np.sqrt(7.25)
"""Where the light comes from: right, up and towards the camera, in the camera's own frame."""

_SAMPLES = 2
_CUTS = 8
_compiled = njit(cache=True, nogil=True, error_model="numpy")


class Mesh(NamedTuple):
    """The teapot in triangles."""

    vertices: NDArray[np.float64]
    """(vertex, 3) positions relative to the middle of the bounding box."""
    normals: NDArray[np.float64]
    """(vertex, 3) unit normals of the surface, inwards or outwards."""
    triangles: NDArray[np.int64]
    """(triangle, 3) vertices, anticlockwise for whom the normals point to."""
    distance: float
    """From the camera to the origin."""


def render(factors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Draws teapots.

    Args:
        factors: (image, 5): azimuth and elevation of the camera in radians (0: on the side of the
            spout, level with the teapot; pi / 2: above it), red, green and blue in [0, 1].

    Returns:
        float32 of shape (image, 64, 64, 3) in [0, 1]: the colour times the brightness.
    """
    images = np.empty((len(factors), IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    for image, (azimuth, elevation, *colour) in zip(images, factors.tolist(), strict=True):
        np.multiply(brightness(azimuth, elevation)[:, :, None], colour, out=image)
    return images


def brightness(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """A white teapot: (64, 64) in [0, 1], each pixel the mean of its four samples."""
    mesh = teapot_mesh()
    axes = camera_axes(azimuth, elevation)
    half = _SAMPLES * IMAGE_SIZE / 2
    focal = half / np.tan(FIELD_OF_VIEW / 2)
    seen = _project(mesh.vertices, axes, mesh.distance, half, focal)
    lit = _light(mesh.normals, LIGHT @ axes)
    return _reduce(_draw(seen, lit, mesh.triangles, _SAMPLES * IMAGE_SIZE))


def camera_axes(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """(3, 3) rows: the camera's right, its up, and the direction from the teapot to it."""
    ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
    return np.array([[-sa, ca, 0.0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]])


def control_points() -> NDArray[np.float64]:
    """(patch, 4, 4, 3) control points of the 32 patches."""
    text = (files("srvae_plugin.data") / "teapot_newell.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")]
    points = np.array([row for row in rows if len(row) == 3], dtype=np.float64)
    patches = np.array([row for row in rows if len(row) == 16], dtype=np.int64)
    return points[patches].reshape(-1, 4, 4, 3)


@cache
def teapot_mesh() -> Mesh:
    """The teapot cut into 32 x 8 x 8 squares of two triangles each."""
    t = np.linspace(0, 1, _CUTS + 1)
    patches = control_points()
    surface = np.einsum("ui,vj,pijk->puvk", _bernstein(t), _bernstein(t), patches)
    # Some patches shrink to a point along an edge, where the surface has no normal of its own.
    inside = t.clip(1e-3, 1 - 1e-3)
    along_u = np.einsum("ui,vj,pijk->puvk", _slope(inside), _bernstein(inside), patches)
    along_v = np.einsum("ui,vj,pijk->puvk", _bernstein(inside), _slope(inside), patches)
    normals = np.cross(along_u, along_v).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)

    vertices = surface.reshape(-1, 3)
    vertices = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    corner = np.arange(len(vertices)).reshape(-1, _CUTS + 1, _CUTS + 1)
    a, b = corner[:, :-1, :-1].ravel(), corner[:, 1:, :-1].ravel()
    c, d = corner[:, 1:, 1:].ravel(), corner[:, :-1, 1:].ravel()
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    radius = np.linalg.norm(vertices, axis=1).max()
    return Mesh(vertices, normals, triangles, float(radius / np.sin(FIELD_OF_VIEW / 2)))


def _bernstein(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(point, 4) weights of a cubic Bezier curve's control points."""
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)


def _slope(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(point, 4) derivatives of these weights."""
    columns = [-((1 - t) ** 2), (1 - t) * (1 - 3 * t), t * (2 - 3 * t), t**2]
    return 3 * np.stack(columns, axis=1)


@_compiled
def _project(
    vertices: NDArray[np.float64],
    axes: NDArray[np.float64],
    distance: float,
    half: float,
    focal: float,
) -> NDArray[np.float64]:
    """Column, row and 1 / depth of each vertex, (vertex, 3), in samples."""
    seen = np.empty_like(vertices)
    for v in range(len(vertices)):
        x, y, z = vertices[v]
        nearness = 1 / (distance - (axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z))
        right = axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z
        up = axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z
        seen[v, 0] = half + focal * nearness * right
        seen[v, 1] = half - focal * nearness * up
        seen[v, 2] = nearness
    return seen


@_compiled
def _light(normals: NDArray[np.float64], light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness of each vertex, (vertex, 2), on the side of its normal and on the other."""
    lit = np.empty((len(normals), 2))
    for v in range(len(normals)):
        x, y, z = normals[v]
        facing = light[0] * x + light[1] * y + light[2] * z
        lit[v, 0] = AMBIENT + (1 - AMBIENT) * max(0.0, facing)
        lit[v, 1] = AMBIENT + (1 - AMBIENT) * max(0.0, -facing)
    return lit


@_compiled
def _draw(
    seen: NDArray[np.float64],
    lit: NDArray[np.float64],
    triangles: NDArray[np.int64],
    size: int,
) -> NDArray[np.float64]:
    """Brightness of the nearest triangle at each sample, (size, size); 0 where there is none."""
    image = np.zeros((size, size))
    nearest = np.zeros((size, size))
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        # Corner a is the origin from here on.
        xa, ya = seen[a, 0], seen[a, 1]
        xb, yb, xc, yc = seen[b, 0] - xa, seen[b, 1] - ya, seen[c, 0] - xa, seen[c, 1] - ya
        area = xb * yc - xc * yb
        if area == 0:
            continue
        # Rows are counted downwards: what is anticlockwise for the viewer has a negative area.
        side = 0 if area < 0 else 1
        left = max(0, int(np.ceil(xa + min(0.0, xb, xc) - 0.5)))
        right = min(size - 1, int(np.floor(xa + max(0.0, xb, xc) - 0.5)))
        top = max(0, int(np.ceil(ya + min(0.0, yb, yc) - 0.5)))
        bottom = min(size - 1, int(np.floor(ya + max(0.0, yb, yc) - 0.5)))
        near_b, near_c = seen[b, 2] - seen[a, 2], seen[c, 2] - seen[a, 2]
        lit_b, lit_c = lit[b, side] - lit[a, side], lit[c, side] - lit[a, side]
        inverse = 1 / area
        for i in range(top, bottom + 1):
            y = i + 0.5 - ya
            for j in range(left, right + 1):
                x = j + 0.5 - xa
                wb = (x * yc - xc * y) * inverse
                wc = (xb * y - x * yb) * inverse
                if wb < 0 or wc < 0 or wb + wc > 1:
                    continue
                near = seen[a, 2] + wb * near_b + wc * near_c
                if near > nearest[i, j]:
                    nearest[i, j] = near
                    image[i, j] = lit[a, side] + wb * lit_b + wc * lit_c
    return image


@_compiled
def _reduce(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each square of samples, (64, 64)."""
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE))
    for i in range(_SAMPLES * IMAGE_SIZE):
        for j in range(_SAMPLES * IMAGE_SIZE):
            image[i // _SAMPLES, j // _SAMPLES] += samples[i, j]
    return image / _SAMPLES**2
