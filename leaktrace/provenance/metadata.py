"""EXIF and text chunks of a file, by Pillow, without decoding a pixel. Runs in the reading process alone."""

from io import BytesIO

from PIL import ExifTags, Image
from pillow_heif import register_heif_opener

from leaktrace.provenance.facts import MAX_ENTRIES, Entry, Exif, told

SHOWN_TAGS = (
    "Make", "Model", "LensModel", "Software", "HostComputer", "ProcessingSoftware", "DateTime", "DateTimeOriginal",
    "ExposureTime", "FNumber", "ISOSpeedRatings", "FocalLength", "Artist", "Copyright", "ImageDescription",
    "UserComment", "XPComment", "XPAuthor",
)  # fmt: skip
NOT_TEXT = frozenset({"exif", "icc_profile", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})

register_heif_opener()


def read_metadata(data: bytes, image_format: str) -> tuple[Exif, list[Entry]]:
    """The EXIF entries that are shown, and text chunks. Whatever a decoder raises passes through."""
    image = Image.open(BytesIO(data), formats=(image_format,))
    texts = [
        Entry(name=told(name), value=told(value))
        for name, value in image.info.items()
        if isinstance(name, str) and isinstance(value, str) and name not in NOT_TEXT
    ]
    return _exif(image), texts[:MAX_ENTRIES]


def _exif(image: Image.Image) -> Exif:
    exif = Image.Exif()
    if image.format == "TIFF":
        exif = image.getexif()
    elif isinstance(image.info.get("exif"), bytes):
        exif.load(image.info["exif"])  # not `getexif`, which decodes a PNG's pixels to find it
    found: dict[str, object] = {}
    for tags in (exif, exif.get_ifd(ExifTags.IFD.Exif)):
        found |= {ExifTags.TAGS.get(tag, str(tag)): value for tag, value in tags.items()}
    entries = [Entry(name=name, value=told(found[name])) for name in SHOWN_TAGS if told(found.get(name, ""))]
    is_there = bool(found) and (image.format != "TIFF" or bool(entries))  # a TIFF is made of tags
    return Exif(
        state="present" if is_there else "absent",
        entries=entries,
        has_position=bool(exif.get_ifd(ExifTags.IFD.GPSInfo)),
    )
