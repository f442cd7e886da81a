"""Modes of a node: ranges as lists, the choice of a mode, and asking each node once."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import DeviceError, DeviceNotFound
from devices.kernel.udev import VideoNode
from devices.monitor.modes import CapabilityProber, NodeCapabilities, fourcc, rates_within, sizes_within
from tests.support.ports import OFFER


def test_a_range_of_sizes_becomes_the_largest_and_the_usual_ones() -> None:
    sizes = list(sizes_within((16, 1920, 16), (16, 1080, 8)))
    assert sizes[0] == (1920, 1080)
    assert {(1280, 720), (640, 480), (320, 240)} <= set(sizes)
    assert not any(width > 1920 or (width - 16) % 16 for width, _ in sizes)


def test_a_range_of_rates_becomes_the_usual_ones() -> None:
    assert list(rates_within(5.0, 30.0)) == [30.0, 30.0, 25.0, 24.0, 20.0, 15.0, 10.0, 5.0]
    assert next(rates_within(0.0, 1e9)) == 120.0


def test_pixel_formats_have_their_four_letters() -> None:
    assert fourcc(int.from_bytes(b"MJPG", "little")) == "MJPG"
    assert fourcc(int.from_bytes(b"Y16 ", "little") | 1 << 31) == "Y16-BE"


class Nodes:
    """Files that stand for nodes, and what each answers; `hangs` answer once they are released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.refuses: set[str] = set()
        self.hangs: set[str] = set()
        self.release = threading.Event()
        self.late = threading.Semaphore(0)

    def make(self, name: str) -> VideoNode:
        path = self.folder / name
        path.unlink(missing_ok=True)
        keep = self.folder / f"{name}.keep"  # so that the next file gets another inode
        keep.touch()
        path.touch()
        keep.unlink()
        return VideoNode(str(path), name, "usb", None, gives_pictures=True)

    def ask(self, node: str, name: str) -> NodeCapabilities:
        self.asked[name] += 1
        if name in self.hangs:
            assert self.release.wait(60)
        if name in self.refuses:
            raise DeviceError(f"may not open {node}", why="denied")
        return OFFER


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path)
    yield nodes
    nodes.release.set()


def prober(nodes: Nodes, timeout_s: float = 20.0) -> CapabilityProber:
    return CapabilityProber(late=nodes.late.release, timeout_s=timeout_s, ask=nodes.ask)


def test_a_node_is_asked_once_while_it_is_the_same(nodes: Nodes) -> None:
    one, two = nodes.make("video0"), nodes.make("video2")
    ask = prober(nodes)
    assert ask.offers([one, two]) == {one.node: OFFER, two.node: OFFER}
    assert ask.offers([one]) == {one.node: OFFER}
    assert nodes.asked == {"video0": 1, "video2": 1}
    assert ask.offers([one, two])[two.node] == OFFER
    assert nodes.asked == {"video0": 1, "video2": 2}
    again = nodes.make("video0")
    ask.offers([again])
    assert nodes.asked["video0"] == 2


def test_a_refusal_is_not_remembered(nodes: Nodes) -> None:
    node = nodes.make("video0")
    nodes.refuses.add("video0")
    ask = prober(nodes)
    refused = ask.offers([node])[node.node]
    assert isinstance(refused, DeviceError)
    assert refused.why == "denied"
    nodes.refuses.clear()
    assert ask.offers([node]) == {node.node: OFFER}


def test_a_node_that_has_gone_is_not_found(nodes: Nodes) -> None:
    gone = VideoNode("/dev/is-not-there", "Camera", "usb", None, gives_pictures=True)
    assert isinstance(prober(nodes).offers([gone])[gone.node], DeviceNotFound)


def test_one_that_hangs_is_waited_for_once_and_its_late_answer_is_told(nodes: Nodes) -> None:
    hung, well = nodes.make("video0"), nodes.make("video2")
    nodes.hangs.add("video0")
    ask = prober(nodes, timeout_s=0.05)
    assert hung.node not in ask.offers([hung, well])
    assert ask.offers([hung, well]) == {well.node: OFFER}
    assert nodes.asked["video0"] == 1
    nodes.release.set()
    assert nodes.late.acquire(timeout=60)
    assert ask.offers([hung, well]) == {hung.node: OFFER, well.node: OFFER}
    assert nodes.asked["video0"] == 1
    assert not nodes.late.acquire(blocking=False)
