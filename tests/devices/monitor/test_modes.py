"""Modes of a node: ranges as lists, the choice of a mode, and asking each node once."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import DeviceError, DeviceNotFound
from devices.kernel.udev import VideoNode
from devices.model.device import Mode
from devices.model.mode_choice import ChosenMode, PictureRequirements, rank_modes
from devices.monitor.modes import CapabilityProber, NodeCapabilities, fourcc, rates_within, sizes_within
from tests.support.ports import OFFER

HD30 = PictureRequirements(1280, 720, 30)


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


def chosen(wanted: PictureRequirements, *modes: Mode) -> ChosenMode:
    best = rank_modes(modes, wanted)[0]
    assert best is not None
    return best


def test_mjpeg_where_uncompressed_pictures_do_not_reach_the_rate() -> None:
    slow, fast = Mode("YUYV", 1280, 720, (10.0, 5.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))
    assert chosen(HD30, slow, fast) == ChosenMode(fast, 30.0)
    assert chosen(PictureRequirements(1280, 720, 10), slow, fast) == ChosenMode(slow, 10.0)


def test_nothing_larger_than_wanted_while_something_fits() -> None:
    fits, larger = Mode("MJPG", 1024, 576, (30.0,)), Mode("MJPG", 1920, 1080, (30.0,))
    assert chosen(HD30, larger, fits).mode == fits


def test_the_nearest_larger_one_where_nothing_or_only_a_thumbnail_fits() -> None:
    thumbnail = Mode("YUYV", 160, 120, (30.0,))
    nearest, largest = Mode("MJPG", 1920, 1080, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD30, largest, nearest).mode == nearest
    assert chosen(HD30, thumbnail, largest, nearest).mode == nearest
    assert chosen(HD30, thumbnail).mode == thumbnail


def test_a_usable_rate_weighs_more_than_pixels() -> None:
    slideshow, moving = Mode("YUYV", 1280, 720, (5.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD30, slideshow, moving).mode == moving
    nearly, small = Mode("YUYV", 1280, 720, (25.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD30, nearly, small).mode == nearly


def test_half_the_rate_is_worth_a_quarter_of_the_pixels() -> None:
    half = Mode("MJPG", 1280, 720, (12.0,))
    less, more = Mode("MJPG", 624, 352, (30.0,)), Mode("MJPG", 656, 368, (30.0,))
    assert chosen(HD30, less, half).mode == half
    assert chosen(HD30, more, half).mode == more


def test_where_nothing_fits_a_picture_is_worth_less_the_more_of_it_is_thrown_away() -> None:
    wide, large = Mode("MJPG", 1600, 400, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD30, large, wide).mode == wide
    assert chosen(HD30, large, Mode("MJPG", 1600, 50, (30.0,))).mode == large


@pytest.mark.parametrize(("width", "height"), [(641, 480), (640, 479)])
def test_uncompressed_pictures_of_an_odd_width_or_height_are_not_chosen_and_compressed_ones_are(
    width: int, height: int
) -> None:
    assert rank_modes([Mode("YUYV", width, height, (30.0,))], HD30)[0] is None
    compressed = Mode("MJPG", width, height, (30.0,))
    assert rank_modes([compressed], HD30)[0] == ChosenMode(compressed, 30.0)


def test_h264_only_where_there_is_nothing_else() -> None:
    h264, mjpeg = Mode("H264", 1280, 720, (30.0,)), Mode("MJPG", 1280, 720, (30.0,))
    assert chosen(HD30, h264, mjpeg).mode == mjpeg
    assert chosen(HD30, h264).mode == h264


def test_formats_and_sizes_that_cannot_be_converted_are_never_chosen() -> None:
    assert rank_modes([Mode("RGB3", 1280, 720, (30.0,)), Mode("YUYV", 641, 481, (30.0,))], HD30)[0] is None
    assert rank_modes([], HD30)[0] is None


@pytest.mark.parametrize(
    ("rates", "wanted", "expected"),
    [((60.0, 30.0, 15.0), 30, 30.0), ((60.0, 30.0), 25, 30.0), ((29.97, 15.0), 30, 29.97), ((15.0,), 30, 15.0)],
)
def test_the_slowest_rate_that_is_enough(rates: tuple[float, ...], wanted: float, expected: float) -> None:
    assert chosen(PictureRequirements(640, 480, wanted), Mode("MJPG", 640, 480, rates)).rate == expected
    assert chosen(PictureRequirements(640, 480, wanted), Mode("MJPG", 640, 480, ())).rate is None


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
