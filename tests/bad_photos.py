"""More than 200 photos as they should not be, written by Pillow, OpenCV and by hand: for tests of what reads folders.

`write` gives what must become of each: `row`, `skipped` with a reason, or `either` where it depends on the bytes hit.
"""

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from facecom.synthetic import draw_person

#: How Pillow calls the formats, by ending.
FORMATS = {
    "jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF", "heic": "HEIF",
    "avif": "AVIF", "jp2": "JPEG2000", "ppm": "PPM", "tga": "TGA",
}  # fmt: skip

SIDE = 64

#: What people have under a photo's name: the first bytes of other files.
OTHERS = {
    "text": b"I am no photo, I only look like one.", "html": b"<!doctype html><html>quota exceeded</html>",
    "zip": b"PK\x03\x04" + bytes(60), "pdf": b"%PDF-1.7\n" + bytes(60), "mp4": b"\0\0\0\x18ftypmp42" + bytes(60),
    "zeros": bytes(4096), "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "newlines": b"\n" * 99,
}  # fmt: skip


def picture(size: int = SIDE) -> Image.Image:
    return Image.fromarray(draw_person(3, 0, size)[0])


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    (image or picture()).save(buffer, format=FORMATS[kind], **options)
    return buffer.getvalue()


def write(folder: Path) -> dict[str, str]:
    """Fill an empty folder; {file name: `row`, `skipped` or `either`}."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for name, (content, becomes) in {**damaged(), **mislabelled(), **sizes(), **kinds(), **marked(), **named()}.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
        found[name] = becomes
    return found | no_files(folder)


def damaged():
    """Cut at every tenth, and with bits turned over."""
    cases = {}
    for kind in FORMATS:
        whole = encoded(kind)
        for tenth in range(1, 10):
            cases[f"cut_{tenth}.{kind}"] = whole[: len(whole) * tenth // 10], "either"
        for seed in range(6):
            rng = np.random.default_rng(seed)
            content = bytearray(whole)
            for place in rng.integers(0, min(len(content), 400) if seed < 3 else len(content), 1 + 4 * seed):
                content[place] ^= 1 << rng.integers(8)
            cases[f"flipped_{seed}.{kind}"] = bytes(content), "either"
    return cases


def mislabelled():
    """Wrong endings, other files, nothing in it."""
    cases = {f"is_{kind}.{'jpg' if kind != 'jpg' else 'png'}": (encoded(kind), "row") for kind in FORMATS}
    cases |= {f"{name}.jpg": (content, "skipped") for name, content in OTHERS.items()}
    return cases | {f"nothing.{kind}": (b"", "skipped") for kind in FORMATS}


def sizes():
    """From one pixel to 400 million, claimed or real."""
    cases = {}
    for width, height in ((1, 1), (2, 2), (1, 3000), (3000, 1), (1, 64), (7, 5)):
        for kind in ("png", "jpg"):
            cases[f"size_{width}_{height}.{kind}"] = encoded(kind, picture().resize((width, height))), "row"
    wide = 20_000
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", wide, wide, 8, 2, 0, 0, 0))
    cases["claims.png"] = png + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""), "skipped"
    jpeg = bytearray(encoded("jpg"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", wide, wide)
    cases["claims.jpg"] = bytes(jpeg), "skipped"
    bmp = bytearray(encoded("bmp"))
    bmp[18:26] = struct.pack("<ii", wide, wide)
    cases["claims.bmp"] = bytes(bmp), "skipped"
    gif = bytearray(encoded("gif"))
    gif[6:10] = struct.pack("<HH", wide, wide)
    cases["claims.gif"] = bytes(gif), "skipped"
    cases["claims.ppm"] = b"P6 20000 20000 255\n" + bytes(99), "skipped"
    cases["claims_nothing.ppm"] = b"P6 0 0 255\n", "skipped"
    cases["claims_less_than_nothing.ppm"] = b"P6 -5 -5 255\n", "skipped"
    tga = bytearray(encoded("tga"))
    tga[12:16] = struct.pack("<HH", wide, wide)
    cases["claims.tga"] = bytes(tga), "skipped"
    half = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0))
    cases["claims_what_it_may.png"] = half + chunk(b"IDAT", zlib.compress(bytes(99))), "skipped"
    return cases


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def kinds():
    """Depths, colours, several pictures in a file."""
    photo, cases = picture(), {}
    deep = np.asarray(photo).astype(np.uint16) * 257
    for name, array in (("grey16", deep[..., 0]), ("rgb16", deep), ("rgba16", np.dstack([deep, deep[..., :1]]))):
        for kind in ("png", "tif"):
            becomes = "row" if name == "grey16" or kind == "png" else "either"
            cases[f"{name}.{kind}"] = cv2.imencode(f".{kind}", array)[1].tobytes(), becomes
    grey = np.asarray(photo.convert("L")).astype(np.float32)
    grey_floats = {"float255": grey, "float1": grey / 255, "floatnan": np.where(grey > 99, np.nan, grey)}
    for name, array in {**grey_floats, "int32": grey.astype(np.int32) * 257}.items():
        cases[f"{name}.tif"] = encoded("tif", Image.fromarray(array)), "row"
    for mode in ("1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"):
        image = photo.convert("L").convert(mode) if mode in ("LA", "PA", "I;16") else photo
        image = image.convert(mode) if mode != "LAB" else ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")  # fmt: skip
        name = "mode_" + mode.replace(";", "_")
        if mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
            cases[f"{name}.png"] = encoded("png", image), "row"
        if mode not in ("PA", "YCbCr"):
            cases[f"{name}.tif"] = encoded("tif", image), "row"
    cases["cmyk.jpg"] = encoded("jpg", photo.convert("CMYK")), "row"
    cases["progressive.jpg"] = encoded("jpg", progressive=True), "row"
    cases["transparent.png"] = encoded("png", photo.quantize(), transparency=0), "row"
    more = [photo.rotate(angle) for angle in (90, 180)]
    for kind in ("gif", "png", "webp", "tif"):
        cases[f"several.{kind}"] = encoded(kind, photo, save_all=True, append_images=more), "row"
        whole = cases[f"several.{kind}"][0]
        cases[f"several_cut.{kind}"] = whole[: len(whole) - 40], "either"
    return cases


def marked():
    """EXIF and colour profiles, right and wrong: what is beside the pixels costs no photo."""
    cases = {}
    for kind in ("jpg", "png", "webp", "tif"):
        for orientation in (*range(10), 65535):
            exif = Image.Exif()
            exif[0x0112] = orientation
            cases[f"turned_{orientation}.{kind}"] = encoded(kind, exif=exif), "row"
    exif = Image.Exif()
    exif[0x0112] = 6
    good = exif.tobytes()
    broken = {"cut": good[:12], "garbage": b"Exif\0\0" + os.urandom(0) + bytes(range(200)), "empty": b"Exif\0\0"}
    broken["far"] = good[:10] + b"\xff\xff\xff\xff" + good[14:]
    broken["circle"] = good[:-4] + struct.pack(">I" if good[6:8] == b"MM" else "<I", 8)
    for name, content in broken.items():
        for kind in ("jpg", "png", "webp"):
            cases[f"exif_{name}.{kind}"] = encoded(kind, exif=content), "row"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, content in {"right": profile, "cut": profile[:100], "garbage": b"no profile" * 9}.items():
        for kind in ("jpg", "png", "webp", "tif"):
            cases[f"profile_{name}.{kind}"] = encoded(kind, icc_profile=content), "row"
    return cases


def named():
    """Names that tables, terminals and other systems trip over."""
    names = [
        "Jörg Ångström 人.jpg", "a,b.jpg", 'say "cheese".jpg', "two\nlines.jpg", "tab\there.jpg", " space.jpg",
        "-rf.jpg", "%s%n.jpg", "=1+1.jpg", "back\\slash.jpg", "semi;colon.jpg", "'.jpg", "$(touch x).jpg", "A.JPG",
        "dots...jpg", "return\rhere.jpg", "\u202egpj.jpg", "\U0001f600.jpg", "x" * 251 + ".jpg", "#.jpg", "&amp;.jpg",
    ]  # fmt: skip
    strange = [os.fsdecode(b"latin-\xe9.jpg"), os.fsdecode(b"\xff\xfe.jpg")]
    return {name: (encoded("jpg"), "row" if name in names else "skipped") for name in (*names, *strange)}


def no_files(folder: Path) -> dict[str, str]:
    """Links, folders, pipes and the like under the names of photos."""
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "there.jpg").symlink_to("back.jpg")
    (folder / "back.jpg").symlink_to("there.jpg")
    (folder / "to_folder.jpg").symlink_to("folder.jpg")
    (folder / "to_photo.jpg").symlink_to("is_png.jpg")
    (folder / "through_file.jpg").symlink_to("is_png.jpg/photo.jpg")
    made = {"folder.jpg", "pipe.jpg", "zero.jpg", "gone.jpg", "self.jpg", "there.jpg", "back.jpg", "to_folder.jpg"}
    before = os.getcwd()
    os.chdir(folder)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.jpg")
    finally:
        os.chdir(before)
    found = dict.fromkeys(made | {"through_file.jpg", "socket.jpg"}, "skipped")
    return found | {"to_photo.jpg": "row"}
