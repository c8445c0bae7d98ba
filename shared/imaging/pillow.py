"""Pillow and its plugins, tamed: opened by kind, silent, with our limits instead of its own, errors by name."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from functools import cache

from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from shared.imaging import headers, memory
from shared.imaging.refusals import Corrupt, PictureRefused, TooLarge, Truncated, Unsupported
from shared.imaging.values import Exif
from shared.paths import printable

ImageFile.LOAD_TRUNCATED_IMAGES = False  # S15: what is cut off is never a picture

#: Pillow's modules of the kinds that need one by one importing
_PLUGINS = {
    "PNG": "PngImagePlugin",
    "GIF": "GifImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "AVIF": "AvifImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "ICO": "IcoImagePlugin",
    "PSD": "PsdImagePlugin",
    "SGI": "SgiImagePlugin",
    "PPM": "PpmImagePlugin",
    "PCX": "PcxImagePlugin",
    "QOI": "QoiImagePlugin",
}
_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "WEBP": headers.webp_size,
    "JXL": headers.jxl_size,
    "HEIF": headers.boxes_size,
    "AVIF": headers.boxes_size,
}
#: words in decoders' complaints that mean: the data ends too early
_CUT = (
    "truncated",
    "truncation",
    "unexpected end",
    "end of file",
    "end of data",
    "not enough",
    "not enough data",
    "eof",
)


#: words that mean: the decoder does not know this way of writing a picture
_NOT_KNOWN = ("unsupported", "not supported", "not implemented", "cannot handle")


@contextlib.contextmanager
def named_refusals(memory_limit: int) -> Iterator[None]:
    """Whatever a decoder does with bad bytes becomes a ``PictureRefused``; its warnings stay inside."""
    Image.MAX_IMAGE_PIXELS = max(memory_limit // 2, 1)  # Pillow raises at twice this: a byte a pixel at the very least
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PictureRefused:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"It declares more than {memory_limit // 1_000_000} million pixels.") from error
    except MemoryError as error:
        raise TooLarge(f"It needs more than {memory_limit >> 20} MB.") from error
    except (EOFError, UnidentifiedImageError, OSError, SyntaxError) as error:
        raise _by_complaint(error) from error
    # Decoders raise whatever their parsing stumbles over; every such file is named corrupt, none stops the service.
    except Exception as error:
        raise _by_complaint(error) from error


def _by_complaint(error: Exception) -> PictureRefused:
    """What a decoder complains of, in words that need no decoder's source; its own stay with the chained error."""
    said = str(error).lower()
    if isinstance(error, EOFError) or any(word in said for word in _CUT):
        return Truncated()
    if "memory" in said:
        return TooLarge()
    if isinstance(error, NotImplementedError) or any(word in said for word in _NOT_KNOWN):
        return Unsupported(f"Its decoder says: {printable(said.splitlines()[0][:200])}; it may also be damaged.")
    if isinstance(error, UnidentifiedImageError):
        return Corrupt("Its header cannot be read.")
    return Corrupt("Its pixels cannot be decoded.")


def open_jpeg(data: bytes) -> JpegImagePlugin.JpegImageFile:
    """The first picture of a JPEG (or of an MPO, whose others are previews, depth or gain maps)."""
    return JpegImagePlugin.JpegImageFile(io.BytesIO(data))


def open_picture(data: bytes, kind: str, memory_limit: int) -> Image.Image:
    """A picture of a kind other than JPEG, its header read, memory checked, nothing decoded (but JPEG XL)."""
    _check_before_opening(data, kind, memory_limit)
    _prepare(kind)
    if kind not in Image.OPEN:
        raise Unsupported(f"The decoder for {kind} is not installed.")
    picture = Image.open(io.BytesIO(data), formats=(kind,))
    needed = memory.for_picture(kind, picture.mode, *picture.size)
    memory.require(needed, memory_limit, *picture.size)
    return picture


def _check_before_opening(data: bytes, kind: str, memory_limit: int) -> None:
    """These decoders allocate, decode or give up by limits of their own while they open."""
    ask = _SIZES.get(kind)
    size = ask(data) if ask else None
    if size is not None:
        memory.require(memory.for_picture(kind, "RGBA", *size), memory_limit, *size)


@cache
def _prepare(kind: str) -> None:
    """Load the kind's decoder once. A kind whose decoder is not installed is then not identified."""
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
        pillow_heif.options.DECODE_THREADS = 1
    elif kind == "JXL":
        with contextlib.suppress(ImportError):
            from pillow_jxl import JpegXLImagePlugin

            JpegXLImagePlugin.DECODE_THREADS = 0
    elif kind in _PLUGINS:
        __import__(f"PIL.{_PLUGINS[kind]}")


def frames_of(picture: Image.Image) -> int:
    """How many frames or pages; 1 where counting fails."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # noqa: BLE001  a damaged later page costs the first one nothing
        return 1


def exif_of(picture: Image.Image) -> Exif:
    """Its EXIF tags; damaged ones are left out."""
    try:
        return read_exif(picture.getexif())
    except Exception:  # noqa: BLE001  damaged metadata costs the picture nothing
        return Exif()


def exif_unloaded(picture: Image.Image) -> Exif:
    """The same from what was read already; for a PNG that is what stands before its pixels."""
    try:
        return read_exif(Image.Image.getexif(picture))
    except Exception:  # noqa: BLE001  as above
        return Exif()


def exif_of_tiff(data: bytes) -> Exif:
    """The EXIF tags of a RAW that is a TIFF by its structure."""
    exif = Image.Exif()
    try:
        exif.load_from_fp(io.BytesIO(data))
        return read_exif(exif)
    except Exception:  # noqa: BLE001  as above
        return Exif()


def read_exif(exif: Image.Exif) -> Exif:
    return Exif(
        main=dict(exif),
        photo=_directory(exif, ExifTags.IFD.Exif),
        gps=_directory(exif, ExifTags.IFD.GPSInfo),
    )


def _directory(exif: Image.Exif, which: int) -> dict[int, object]:
    try:
        return dict(exif.get_ifd(which))
    except Exception:  # noqa: BLE001  one damaged directory costs the others nothing
        return {}
