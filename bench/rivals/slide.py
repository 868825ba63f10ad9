"""What the scripts share: their arguments, the tiles of a slide, the image they read and the mask they write."""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from network import Unet

MASK_TILE_PX = 256

# The labels of a tile's pixels: uint8 [height, width] to an array of whole numbers, smaller by the halo on each side.
Session = Callable[[np.ndarray], np.ndarray]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--exported", type=Path, required=True, help="folder that export.py wrote")
    parser.add_argument("--tile", type=int, required=True, help="px that a tile adds to the mask, a side, about")
    parser.add_argument("--sessions", type=int, required=True, help="tiles that are computed at once")
    parser.add_argument("--threads", type=int, required=True, help="threads of all sessions together")
    parser.add_argument("--variant", default="", help="what else the rival can vary")
    return parser.parse_args()


class Report:
    """Seconds by stage, and facts such as versions, printed at the end as a line of JSON."""

    def __init__(self) -> None:
        self.facts: dict[str, object] = {}
        self.seconds: dict[str, float] = {}
        self.started = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self.started, 3)
        self.started = now

    def print(self) -> None:
        print(json.dumps({"seconds": self.seconds, **self.facts}), flush=True)


class Slide:
    """An image in memory, mirrored around its border, and its mask; both divided into equal tiles."""

    def __init__(self, path: Path, tile: int, net: Unet):
        self.path = path
        self.halo = net.halo
        self.excess = net.excess
        with tifffile.TiffFile(path) as tiff:
            self.height, self.width = tiff.pages.first.shape
        self.rows, self.tile_height = divide(self.height, tile, net.multiple)
        self.columns, self.tile_width = divide(self.width, tile, net.multiple)

    @property
    def read_shape(self) -> tuple[int, int]:
        """Height and width of what a session receives."""
        more = 2 * self.halo + self.excess
        return self.tile_height + more, self.tile_width + more

    def read(self) -> None:
        below = self.rows * self.tile_height - self.height + self.halo + self.excess
        right = self.columns * self.tile_width - self.width + self.halo + self.excess
        self.image = np.pad(read_image(self.path), ((self.halo, below), (self.halo, right)), "reflect")
        self.mask = np.empty((self.rows * self.tile_height, self.columns * self.tile_width), np.uint8)

    def segment_tile(self, session: Session, row: int, column: int) -> None:
        y, x = row * self.tile_height, column * self.tile_width
        height, width = self.read_shape
        labels = session(self.image[y : y + height, x : x + width])
        part = self.mask[y : y + self.tile_height, x : x + self.tile_width]
        part[:] = labels[: self.tile_height, : self.tile_width]

    def segment(self, sessions: list[Session], path: Path) -> None:
        """Segments all tiles, one at a time on each session; writes the mask meanwhile, as far as it is complete."""
        tiles = ((row, column) for row in range(self.rows) for column in range(self.columns))
        pending = [self.columns] * self.rows
        progress = threading.Condition()
        failures: list[BaseException] = []

        def work(session: Session) -> None:
            while True:
                with progress:
                    tile = None if failures else next(tiles, None)
                if tile is None:
                    return
                try:
                    self.segment_tile(session, *tile)
                except BaseException as failure:
                    failures.append(failure)
                with progress:
                    pending[tile[0]] -= 1
                    progress.notify()

        def complete_rows() -> Iterator[int]:
            for row in range(self.rows):
                with progress:
                    progress.wait_for(lambda: pending[row] == 0 or failures)
                if failures:
                    raise failures[0]
                yield (row + 1) * self.tile_height

        with ThreadPoolExecutor(len(sessions)) as pool:
            working = [pool.submit(work, session) for session in sessions]
            write_mask(path, self.mask[: self.height, : self.width], complete_rows())
            for each in working:
                each.result()


def divide(length: int, tile: int, multiple: int) -> tuple[int, int]:
    """The number of tiles along an axis, and the length of each: about `tile`, so that the last is hardly wasted."""
    count = max(1, round(length / tile))
    return count, -(-length // (count * multiple)) * multiple


def aligned(image: np.ndarray, net: Unet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    For padded convolutions: the image, mirrored around its border by a few pixels, so that they pool the same pixels as
    valid ones; its mask; and of that the part which is the image's.
    """
    before = net.phase
    padding = [(before, -(before + length) % net.multiple) for length in image.shape]
    larger = np.pad(image, padding, "reflect")
    mask = np.empty(larger.shape, np.uint8)
    return larger, mask, mask[before : before + image.shape[0], before : before + image.shape[1]]


def strips(rows: int, count: int, margin: int, multiple: int) -> list[tuple[slice, slice]]:
    """The rows that each of several strips reads, `margin` more on each side, and those that it adds to the mask."""
    bounds = [round(rows * i / count / multiple) * multiple for i in range(count)] + [rows]
    return [(slice(max(0, a - margin), min(rows, b + margin)), slice(a, b)) for a, b in zip(bounds, bounds[1:])]


def segment_strips(
    options: argparse.Namespace,
    report: Report,
    net: Unet,
    larger: tuple[np.ndarray, np.ndarray, np.ndarray],
    margin: int,
    labels_in: Callable[[np.ndarray], np.ndarray],
) -> None:
    """
    Segments an image that `aligned` made larger, in as many strips as there are sessions, and writes its mask and the
    report. `labels_in` computes the labels of some rows, `margin` of which on each side are not used.
    """
    image, mask, result = larger

    def segment(strip: tuple[slice, slice]) -> None:
        read, write = strip
        mask[write] = labels_in(image[read])[write.start - read.start : write.stop - read.start]

    with ThreadPoolExecutor(options.sessions) as pool:
        list(pool.map(segment, strips(image.shape[0], options.sessions, margin, net.multiple)))
    report.lap("segment")
    write_mask(options.mask, result, iter([result.shape[0]]))
    report.lap("write")
    report.print()


def read_image(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages.first.asarray(maxworkers=2)


def labels_of(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit, the first of equals; numpy's `argmax` is 50 times slower along this axis."""
    return logits[1] > logits[0] if len(logits) == 2 else logits.argmax(0)


def write_mask(path: Path, mask: np.ndarray, complete: Iterator[int]) -> None:
    """Writes a tiled, deflated TIFF; `complete` yields the number of rows that are known so far."""

    def tiles() -> Iterator[np.ndarray]:
        known = 0
        for y in range(0, mask.shape[0], MASK_TILE_PX):
            while known < min(y + MASK_TILE_PX, mask.shape[0]):
                known = next(complete)
            for x in range(0, mask.shape[1], MASK_TILE_PX):
                yield mask[y : y + MASK_TILE_PX, x : x + MASK_TILE_PX]

    tifffile.imwrite(
        path,
        tiles(),
        shape=mask.shape,
        dtype=mask.dtype,
        tile=(MASK_TILE_PX, MASK_TILE_PX),
        compression="zlib",
        photometric="minisblack",
        maxworkers=1,
    )


def run(start: Callable[[argparse.Namespace, Slide, Unet, Report], list[Session]]) -> None:
    """A whole script: starts the sessions while the image is read, segments it tile by tile, and prints a report."""
    options = arguments()
    report = Report()
    net = Unet(options.model)
    slide = Slide(options.image, options.tile, net)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(slide.read)
        sessions = start(options, slide, net, report)
        reading.result()
    report.lap("start")
    slide.segment(sessions, options.mask)
    report.lap("segment")
    report.print()
