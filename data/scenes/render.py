"""From a scene to a sample: visibility, light, photograph, and the targets with what a sensor misses."""

import numpy as np
from numpy.random import Generator

from winnow.data.sample import Sample
from winnow.data.scenes import sensor
from winnow.data.scenes.camera import Floats, to_camera
from winnow.data.scenes.edges import edges
from winnow.data.scenes.image import photograph
from winnow.data.scenes.light import radiance
from winnow.data.scenes.scene import Scene, scene_table
from winnow.data.scenes.textures import reflectance
from winnow.data.scenes.visibility import Surface, visible_surface


def render(scene: Scene, size: int, generator: Generator) -> Sample:
    """Return the image of a scene, size × size, with its four targets; `generator` makes the noise."""
    solids = scene_table(scene)
    surface = visible_surface(scene, solids, size)
    colour = reflectance(solids, surface, _footprint(scene, surface))
    image = photograph(radiance(scene, solids, surface, colour), generator)
    hole = sensor.missing_depth(scene.camera, surface, solids, colour, generator)
    outline = edges(surface, solids)
    normals = to_camera(scene.camera, surface.normal)
    targets = {
        "seg": sensor.labels(surface, solids, sensor.missing_labels(outline, generator)),
        "depth": np.where(hole, np.float32(0), surface.depth),
        "normals": np.where(hole, np.float32(0), normals).transpose(1, 2, 0).copy(),
        "edges": outline,
    }
    return Sample(image, targets)


def _footprint(scene: Scene, surface: Surface) -> Floats:
    view = surface.view
    facing = -(surface.normal * view).sum(0) / np.sqrt((view * view).sum(0))
    pixel = np.float32(2 * scene.camera.spread / view.shape[1])
    values: Floats = surface.depth * pixel / np.sqrt(np.maximum(facing, np.float32(0.04)))
    return values
