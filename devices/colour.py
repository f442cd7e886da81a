"""What the samples of an uncompressed picture mean, as a V4L2 node says it."""

import fcntl
from dataclasses import dataclass

from devices import v4l2

_BT709 = {v4l2.YCBCR_ENC_709, v4l2.YCBCR_ENC_XV709}
_BT709_BY_DEFAULT = {v4l2.COLORSPACE_REC709, v4l2.COLORSPACE_DCI_P3}


@dataclass(frozen=True, slots=True)
class SampleCoding:
    """BT.709 instead of BT.601, full range instead of limited."""

    is_bt709: bool = False
    is_full_range: bool = False


def sample_coding(fd: int) -> SampleCoding:
    """Return how the pictures of the open node `fd` are coded, in the format it is set to, V4L2's defaults resolved."""
    current = v4l2.Format()
    current.type = v4l2.BUF_TYPE_VIDEO_CAPTURE
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_G_FMT, current)
    except OSError:
        return SampleCoding()
    picture = current.fmt.pix
    is_default = picture.ycbcr_enc == v4l2.YCBCR_ENC_DEFAULT
    is_bt709 = picture.colorspace in _BT709_BY_DEFAULT if is_default else picture.ycbcr_enc in _BT709
    is_full_range = picture.quantization == v4l2.QUANTIZATION_FULL_RANGE or (
        picture.quantization == v4l2.QUANTIZATION_DEFAULT and picture.colorspace == v4l2.COLORSPACE_JPEG
    )
    return SampleCoding(is_bt709, is_full_range)
