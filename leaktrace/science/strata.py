"""The processing stratum of an image: what its file says of how it was saved and scaled, and nothing else.

Few bands, since each needs calibration images of its own. Known from the header alone, so that it can never depend on
a label or on what the model makes of the image. Knows nothing of densities.

- JPEG quality: under 70 blocks can be seen; from 70 to 89 lie the defaults of libraries and of services that pass
  pictures on; from 90 those of cameras and editors. All other formats are one band.
- Shorter side, in pixels: generators make 512 or 1024, so that one of their pictures is in the lowest band only when
  somebody made it smaller, and below 1024 a photograph hardly comes from a camera as it is.
"""

from bisect import bisect_right

from leaktrace.science.images import ImageHeader
from leaktrace.science.stratified import UNKNOWN

NOT_JPEG = "not-jpeg"
JPEG_EDGES = (70, 90)
JPEG_BANDS = ("jpeg-under-70", "jpeg-70-89", "jpeg-from-90")
SIDE_EDGES_PX = (512, 1024)
SIDE_BANDS = ("under-512px", "512-1023px", "from-1024px")


def stratum_of(header: ImageHeader) -> str:
    """For example "jpeg-70-89/512-1023px"; UNKNOWN for a JPEG whose quality is not known."""
    if header.format != "JPEG":
        band = NOT_JPEG
    elif header.jpeg_quality is None:
        return UNKNOWN
    else:
        band = JPEG_BANDS[bisect_right(JPEG_EDGES, header.jpeg_quality)]
    return f"{band}/{SIDE_BANDS[bisect_right(SIDE_EDGES_PX, min(header.width, header.height))]}"
