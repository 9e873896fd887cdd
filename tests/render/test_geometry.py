"""Fields, meshes and fills against what they promise."""

import numpy as np
import pytest

from visavis.render.geometry import (
    Box,
    WarpMesh,
    fill_outside,
    grid,
    invert_field,
    polygon_mask,
    ramp,
    refine,
    smooth_curve,
)


def square_mesh(holes=0):
    source = np.array([[10, 10], [50, 10], [50, 50], [10, 50]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return WarpMesh(source, triangles, holes, Box(0, 0, 64, 64), 1)


def test_mesh_at_rest_does_not_move_a_pixel():
    mesh = square_mesh()
    assert np.abs(mesh.backward(mesh.source)).max() < 1e-4


def test_mesh_leads_back_to_the_source():
    mesh = square_mesh()
    field = mesh.backward(mesh.source + np.array([5, -3], np.float32))
    assert np.allclose(field[15:40, 20:50], (-5, 3), atol=1e-3)
    assert np.all(field[60:, 60:] == 0)


def test_mesh_scales_about_its_corner():
    mesh = square_mesh()
    target = (mesh.source - 10) * 0.5 + 10
    position = grid(mesh.box) + mesh.backward(target.astype(np.float32))
    assert np.allclose(position[20, 20], (30, 30), atol=1e-2)


def test_degenerate_triangles_stay_finite():
    mesh = square_mesh()
    assert np.isfinite(mesh.backward(np.full((4, 2), 20, np.float32))).all()


@pytest.mark.parametrize("shift", [0.0, 2.5, -4.0])
def test_inverted_field_undoes_the_forward_field(shift):
    nodes = grid(Box(0, 0, 40, 40))
    bump = np.exp(-((nodes - 20) ** 2).sum(-1) / 80)
    forward = np.stack([shift * bump, 0.5 * shift * bump], -1).astype(np.float32)
    backward = invert_field(forward, 1, rounds=30)
    landed = nodes + backward
    there = np.exp(-((landed - 20) ** 2).sum(-1) / 80)
    assert np.abs(landed[..., 0] + shift * there - nodes[..., 0])[5:35, 5:35].max() < 0.05


@pytest.mark.parametrize("factor", [1, 3, 4, 5, 2.5])
def test_refine_interpolates_linearly(factor):
    coarse = (grid(Box(0, 0, 7, 6)) * factor).astype(np.float32)
    h, w = int(4 * factor) + 1, int(5 * factor) + 1
    fine = refine(coarse, factor, (h, w))
    assert np.allclose(fine, grid(Box(0, 0, w, h)), atol=0.04 * factor if factor % 2 != 1 else 1e-4)


def test_the_part_of_a_box_stays_inside_it():
    box = Box(10, 20, 30, 40)
    points = np.array([[15.0, 25.0], [22.0, 90.0]])
    assert box.part(points, 2) == Box(13, 23, 12, 37)


def test_fill_keeps_what_is_known_and_spreads_it():
    weight = np.zeros((32, 32), np.float32)
    weight[:, :8] = 1
    image = np.full((32, 32, 3), 7, np.float32) * weight[..., None]
    filled = fill_outside(image, weight)
    assert np.allclose(filled, 7, atol=0.2)


def test_curve_passes_through_its_points():
    points = np.array([[0, 0], [3, 2], [7, 1], [9, 4]], np.float32)
    curve = smooth_curve(points, 4)
    assert np.allclose(curve[::4], points)


def test_polygon_mask_covers_its_area():
    square = np.array([[4, 4], [12, 4], [12, 12], [4, 12]], np.float32)
    covered = polygon_mask(Box(0, 0, 20, 20), square).sum() / 255
    assert 64 <= covered <= 90


@pytest.mark.parametrize(("x", "expected"), [(-1, 0), (0, 0), (5, 0.5), (10, 1), (11, 1)])
def test_ramp(x, expected):
    assert ramp(x, 0, 10) == pytest.approx(expected)
