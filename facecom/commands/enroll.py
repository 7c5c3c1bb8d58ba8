"""`enroll.py`: known people, in a gallery that stays."""

import argparse
from pathlib import Path

from facecom import cli
from facecom.commands import testing
from facecom.errors import FacecomError


def main(args: argparse.Namespace, here: Path) -> tuple[int, dict]:
    """Exit code, and what `--json` prints. here: the folder beside which `weights/` are looked for."""
    refuse_what_does_not_fit(args)
    from facecom.data.folders import photo_folder
    from facecom.inference.gallery import Gallery, is_gallery
    from facecom.inference.verifier import FaceVerifier

    if (args.remove or args.list) and not is_gallery(args.gallery):
        raise FacecomError(f"{args.gallery}: no gallery: --img_dir people makes one")
    gallery = Gallery(args.gallery)  # a wrong path is said before the network is loaded
    if args.img_dir and args.name is None:
        args.img_dir = photo_folder(args.img_dir, "B")
    told: dict = {}
    if args.remove:
        told["removed"] = gallery.remove(*args.remove)
        print(f"removed {told['removed']:,} photos of {', '.join(args.remove)}")
    args.output = args.gallery / "faces" if args.img_dir or args.faces_of else None  # to be looked at is enough else
    siamese, options = testing.set_up(args, "siamese", here)
    gallery = Gallery(args.gallery, FaceVerifier.of(siamese, args.far, options["batch_size"], options["workers"]))
    if args.img_dir or args.faces_of:
        told |= add(args, gallery, options["progress"])
    people = gallery.people()
    if args.list:
        for row in people.itertuples():
            print(f"{row.photos:6,}  {row.identity}")
    print(gallery.about())
    told |= {"people": dict(zip(people.identity, people.photos, strict=True)), "strangers": gallery.strangers()}
    return testing.EXIT_SKIPPED if args.strict and told.get("unreadable") else 0, told


def add(args: argparse.Namespace, gallery, progress: str | None) -> dict:
    """What was done, in photos. Raises FacecomError where none of them could be read."""
    if args.faces_of:
        found = gallery.add_faces(args.faces_of, args.name)
    else:
        cli.pool_memory()
        found = gallery.add(args.img_dir, args.name, progress)
    if args.faces_of and not found.added + found.unchanged + found.replaced:
        raise FacecomError(f"{args.faces_of}: no face of a clean photo in it: nobody to enrol")
    if not found.added + found.unchanged + found.replaced:
        file, reason = found.unreadable[0]
        raise FacecomError(f"none of the photos could be read: check the folder; the first: {file}: {reason}")
    for file, reason in found.unreadable:
        print(f"could not be read: {file}: {reason}")
    if found.without:
        print(f"{found.without:,} photos of the corpus have no face or could not be read: its column reason says which")
    if found.crowded:
        print(f"{found.crowded:,} photos show several faces: the largest near the middle was taken")
    print(
        f"{found.added:,} added, {found.unchanged:,} unchanged, {found.replaced:,} replaced, "
        f"{len(found.unreadable):,} unreadable"
    )
    skipped = [{"filename": file, "reason": reason} for file, reason in found.unreadable]
    return {"added": found.added, "unchanged": found.unchanged, "replaced": found.replaced, "unreadable": skipped}


def refuse_what_does_not_fit(args: argparse.Namespace) -> None:
    """Raises FacecomError for flags of which only one may stand, and for `--name` without photos."""
    given = [flag for flag in ("img_dir", "faces_of", "remove", "list") if getattr(args, flag)]
    if len(given) != 1:
        given = ["from" if flag == "faces_of" else flag for flag in given]
        what = f"{' and '.join('--' + flag for flag in given)}: one at a time" if given else "what is to be done"
        raise FacecomError(f"{what}: give --img_dir people, --from faces, --remove NAME or --list")
    if args.name is not None and not (args.img_dir or args.faces_of):
        raise FacecomError("--name: whose photos --img_dir holds: give both")


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()]
    )
    group = parser.add_argument_group("people")
    group.add_argument("--gallery", type=Path, default=Path("people.lance"), help="the folder that the gallery is in; "
                       "the first photos make it")  # fmt: skip
    group.add_argument("--img_dir", type=Path, help="add these: a folder of photos a person, or, with --name, one "
                       "person's folder or photo; only new and changed photos are looked at")  # fmt: skip
    group.add_argument("--from", dest="faces_of", type=Path, metavar="DIR", help="add the faces of a corpus (facecom "
                       "corpus) under the names of the photos' folders; nothing is looked at anew")  # fmt: skip
    group.add_argument("--name", help="whose photos --img_dir holds")
    group.add_argument("--remove", nargs="+", metavar="NAME", help="forget these people, on the disk, too")
    group.add_argument("--list", action="store_true", help="who is in the gallery, with how many photos")
    group.add_argument("--strict", action="store_true", help="exit with 3 when a photo could not be read")
    group = parser.add_argument_group("network")
    group.add_argument("--weights", nargs="+", metavar="FILE", help="as for test.py; a gallery keeps to those that "
                       "made it")  # fmt: skip
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, help="as for test.py")
    group.add_argument("--far", type=float, help="the operating point stored for this false accept rate")
    group.add_argument("--batch_size", type=int, default=64, help="photos that are looked at, and written, at once")
    parser.set_defaults(workers=None, recipe=None, train_dir=None, report=None, explain=None, sample=False)
    return parser
