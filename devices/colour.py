"""What the samples of an uncompressed picture mean, as a V4L2 node says it."""

import fcntl
from dataclasses import dataclass

from linuxpy.video import raw

_BT709 = {raw.YcbcrEncoding["_709"], raw.YcbcrEncoding.XV709}
_BT709_BY_DEFAULT = {raw.Colorspace.REC709, raw.Colorspace.DCI_P3}


@dataclass(frozen=True, slots=True)
class SampleCoding:
    """BT.709 instead of BT.601, full range instead of limited."""

    is_bt709: bool = False
    is_full_range: bool = False


def sample_coding(fd: int) -> SampleCoding:
    """Return how the pictures of the open node `fd` are coded, in the format it is set to, V4L2's defaults resolved."""
    current = raw.v4l2_format()
    current.type = raw.BufType.VIDEO_CAPTURE
    try:
        fcntl.ioctl(fd, raw.IOC.G_FMT, current)
    except OSError:
        return SampleCoding()
    picture = current.fmt.pix
    is_default = picture.ycbcr_enc == raw.YcbcrEncoding.DEFAULT
    is_bt709 = picture.colorspace in _BT709_BY_DEFAULT if is_default else picture.ycbcr_enc in _BT709
    is_full_range = picture.quantization == raw.Quantization.FULL_RANGE or (
        picture.quantization == raw.Quantization.DEFAULT and picture.colorspace == raw.Colorspace.JPEG
    )
    return SampleCoding(is_bt709, is_full_range)
