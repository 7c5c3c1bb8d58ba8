"""The people of a gallery that stays: enrolled once, searched often."""

import os
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from facecom.errors import FacecomError
from facecom.inference.gallery.approximate import LEAST_ROWS, WORTH_INDEX
from facecom.inference.gallery.checksums import CHANGED, Seen, is_still, seen
from facecom.inference.gallery.embedded import blocks_of, parts_of
from facecom.inference.gallery.rows import Added, made_by_of, photos_of, rows_of
from facecom.inference.gallery.store import KEYS, Key, State, Store
from facecom.inference.people.pooling import pool as pooled
from facecom.inference.pipeline import Photo, collect, name_of, stream
from facecom.inference.search import nearest_people
from facecom.inference.submission import Known
from facecom.inference.templates import Templates, distances
from facecom.inference.verifier import FaceVerifier

POOLS = ("best", "mean")

#: Photos that are asked of an index for each person wanted: those of one person come together.
PHOTOS_EACH = 10

#: `strangers` are so many.
STRANGERS = 10_000


class Gallery:
    """Known people, in a folder that stays, a row a face: who, which file, where in it, and its embedding.

    path: of the folder, such as `people.lance`; the first `add` makes it. verifier: whose network and operating point
    are used (None: the shipped ones, loaded when first needed). Several processes may use one gallery.
    Raises FacecomError without the extra `gallery`, for a path that is something else, and, where it is used, for a
    gallery that other weights have made.
    """

    def __init__(self, path: str | os.PathLike, verifier: FaceVerifier | None = None):
        self.store = Store(path)
        self.path, self._verifier = self.store.path, verifier
        self._read: tuple[int, Known, np.ndarray] | None = None

    @property
    def verifier(self) -> FaceVerifier:
        if self._verifier is None:
            self._verifier = FaceVerifier()
        return self._verifier

    def add(
        self,
        photos: str | os.PathLike | Sequence[str | os.PathLike],
        name: str | None = None,
        progress: str | None = None,
    ) -> Added:
        """Enrol people; only photos that are new, or whose content changed, are looked at.

        photos: a folder of identity folders (their clean photos are taken), or with `name` photos of that person: a
        folder, a path or several. What was enrolled and is gone from the disk stays enrolled. Rows are written a batch
        at a time: after a run that was killed, the next one goes on. progress: see `pipeline.stream`.
        """
        made_by, found = self._check(), Added()
        known, todo = self.store.index(), {}
        for key in dict.fromkeys(photos_of(photos, name)):
            one = seen(key[1], known.get(key))
            if one.state is not None and one.state == known.get(key):
                found.unchanged += 1
            else:
                todo[key] = one
        changed = self._look(todo, known, made_by, found, progress)
        if changed:  # many photos take long: what changed meanwhile has a second chance
            changed = self._look({key: seen(key[1]) for key in changed}, known, made_by, found, progress)
        found.unreadable += [(file, CHANGED) for _, file in changed]
        if found.added or found.replaced:
            self._tidy(found)
        return found

    def _look(
        self, todo: Mapping[Key, Seen], known: Mapping[Key, State], made_by: dict, found: Added, progress: str | None
    ) -> list[Key]:
        """Enrol these, noted in `found`; those that changed while they were looked at are left out and returned."""
        keys, changed = list(todo), []
        how = {"batch_size": self.verifier.batch_size, "workers": self.verifier.workers, "progress": progress}
        for batch in stream([file for _, file in keys], self.verifier.ensemble, **how):  # type: ignore[arg-type]
            found.unreadable += [(keys[row][1], reason) for row, reason in batch.skipped]
            if batch.answers is None:
                continue
            looked = [keys[row] for row in batch.rows]
            states = [todo[key].state if is_still(key[1], todo[key]) else None for key in looked]
            changed += [key for key, state in zip(looked, states, strict=True) if state is None]
            rows = rows_of(looked, states, batch, made_by)
            if rows.num_rows:
                self.store.write(rows)
                replaced = sum(key in known for key, state in zip(looked, states, strict=True) if state is not None)
                found.replaced += replaced
                found.added += rows.num_rows - replaced
        return changed

    def add_faces(self, folder: str | os.PathLike, name: str | None = None) -> Added:
        """Enrol from a corpus (`facecom corpus`), which has looked at the photos already: the face that answers for a
        photo, under the name of the folder that the photo lies in, or under `name`; copies in `distortion/` are left
        out. Raises FacecomError for a folder without such files, and for one that other weights have made."""
        made_by, found = self._check(), Added()
        known = self.store.index()
        for rows, states in blocks_of(parts_of(folder, made_by), name, made_by, found):
            fresh = [row for row, (key, state) in enumerate(states.items()) if known.get(key) != state]
            found.unchanged += len(states) - len(fresh)
            if fresh:
                self.store.write(rows.take(fresh))
                replaced = sum(key in known and known[key] != state for key, state in states.items())
                found.replaced += replaced
                found.added += len(fresh) - replaced
        if found.added or found.replaced:
            self._tidy(found)
        return found

    def _tidy(self, found: Added) -> None:
        self.store.tidy(found.replaced > 0)
        if self.store.count() >= WORTH_INDEX and not self.store.is_indexed():
            self.build_index()

    def build_index(self) -> None:
        """Make `search` look at the likely part of a large gallery only; of itself from 3 million photos on. Takes
        minutes a million. Raises FacecomError for fewer than 256 photos."""
        if self.store.count() < LEAST_ROWS:
            raise FacecomError(f"{self.path}: fewer than {LEAST_ROWS} photos: searching them all takes no time")
        self.store.build_index()

    def remove(self, *names: str) -> int:
        """Forget people, on the disk, too; returns how many photos. Raises FacecomError for a name that is unknown."""
        known = set(self.store.people())
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 3) or sorted(known)[:3]
                there = f"; there are {', '.join(near)}{' …' if len(known) > len(near) else ''}" if near else ""
                raise FacecomError(f"{self.path}: nobody is called {name!r}{there}: check the name")
        return self.store.remove(names) if names else 0

    def people(self) -> pd.DataFrame:
        """DataFrame[identity, photos]: how many photos of whom, sorted by name."""
        return pd.DataFrame(sorted(self.store.people().items()), columns=["identity", "photos"])

    def search(self, photos: Photo | Sequence[Photo], k: int = 5, pool: str = "best") -> pd.DataFrame:
        """The k nearest people of each photo: DataFrame[filename, rank, identity, distance, same], nearest first.

        pool: `best` measures to the nearest photo of a person, `mean` to the mean of all (`pooling`). rank: 1
        to k, at most the number of people; distance: 0 to 2; same: nullable, <NA> for cannot tell. An unreadable photo
        has no rows and a warning. Exact, but for a gallery with an index (`build_index`) and `best`: there a person may
        be missed. Raises FacecomError for an empty gallery.
        """
        if k < 1:
            raise FacecomError(f"k={k}: must be at least 1")
        if pool == POOLS[0] and self.store.is_indexed():
            self._check()
            search = self._by_index
        else:
            search = self._exactly(*self._pooled(pool))
        photos = [photos] if isinstance(photos, str | os.PathLike | np.ndarray) else list(photos)
        options = {"batch_size": self.verifier.batch_size, "workers": self.verifier.workers}
        answers, skipped = collect(photos, self.verifier.ensemble, **options)
        for position, reason in skipped:
            warnings.warn(f"{name_of(photos[position], position)}: {reason}", stacklevel=2)
        templates = self.verifier.ensemble.templates(answers)
        readable = np.flatnonzero(templates.readable)
        identity, found = search(templates[readable], k)
        same = pd.array((found <= self.verifier.threshold).ravel(), dtype="boolean")
        width = found.shape[1]
        same[~np.repeat(templates.tell(np.full(len(templates), np.inf))[readable], width)] = pd.NA
        names = [name_of(photos[row], row) for row in readable.tolist()]
        table = {"filename": np.repeat(np.array(names, object), width)}
        table |= {"rank": np.tile(np.arange(1, width + 1), len(names)), "identity": identity.ravel()}
        answers_of = pd.DataFrame(table | {"distance": found.ravel(), "same": same})
        return answers_of[answers_of.identity.notna()].reset_index(drop=True)

    def _exactly(self, known: Known, people: np.ndarray):
        """What `search` asks: (probes, k) -> (identities object [P, k], distances [P, k])."""

        def ask(probes: Templates, k: int) -> tuple[np.ndarray, np.ndarray]:
            rows, found = nearest_people(probes, known.templates, people, k)
            return known.table.identity.to_numpy(object)[rows], found

        return ask

    def _by_index(self, probes: Templates, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `_exactly`'s, by the index; None and NaN where fewer people are found."""
        identities = np.full((len(probes), k), None, object)
        found = np.full((len(probes), k), np.nan, np.float32)
        rows = self.store.nearest(probes.faces, k * PHOTOS_EACH, KEYS[:1])
        for row, table in enumerate(rows):
            faces = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
            near = pd.DataFrame(
                {"identity": table["identity"].to_pylist(), "distance": distances(probes.faces[row], faces)}
            )
            near = near.sort_values("distance", kind="stable").drop_duplicates("identity")[:k]
            identities[row, : len(near)], found[row, : len(near)] = near.identity, near.distance
        return identities, found

    def known(self) -> Known:
        """All photos, sorted by person and file. Raises FacecomError for a gallery without any."""
        return self._all()[0]

    def strangers(self) -> float | None:
        """Of 10,000 strangers, how many would be taken for somebody in here: a rough upper figure, which takes the
        comparisons of one stranger for independent and a person for one comparison. None where nobody knows."""
        return self._passing(len(self.people()))

    def about(self) -> str:
        """How many are in here and what the operating point means among so many, in one line."""
        people = self.people()
        count, photos = len(people), int(people.photos.sum())
        line = f"{self.path}: {_counted(count, 'person', 'people')}, {_counted(photos, 'photo', 'photos')}"
        passing, most = self._passing(count), self._passing(photos)
        if passing is None or most is None or not self.verifier.far:
            return f"{line}; how many strangers would be taken for one of them nobody knows"
        each = f" ({most:,.0f} if every photo of a person is another chance)" if round(most) > round(passing) else ""
        return (
            f"{line}; of {STRANGERS:,} strangers about {passing:,.0f}{each} would be taken for one of them, as a rough "
            f"upper figure: 1 in {1 / self.verifier.far:,.0f} passes one comparison"
        )

    def _passing(self, comparisons: int) -> float | None:
        far = self.verifier.far
        return None if far is None else STRANGERS * (1 - (1 - far) ** comparisons)

    def _check(self) -> dict[str, str]:
        """What is stored of the weights in use. Raises FacecomError where others have made the gallery."""
        made_by = made_by_of(self.verifier.ensemble)
        stored = self.store.made_by()
        for part, what in (("weights", "weights"), ("prepared", "ways of looking at the face (--align, --mirror)")):
            if stored and stored.get(part) != made_by[part]:
                now = "" if part == "weights" else f" ({stored.get(part)}; now {made_by[part]})"
                raise FacecomError(
                    f"{self.path}: was made by other {what}{now}: give --weights and flags as then, or enrol the "
                    "people anew in another gallery"
                )
        return made_by

    def _all(self) -> tuple[Known, np.ndarray]:
        """(all photos, whose each is: int [N]), read again where somebody has written."""
        version = self.store.version()
        if self._read is None or self._read[0] != version:
            self._read = None  # its memory, before there is more
            self._check()
            table, faces = self.store.embeddings()
            if table.empty:
                raise FacecomError(f"{self.path}: the gallery is empty: add people with enroll.py --img_dir people")
            table = table.assign(path=table.file)
            self._read = version, Known(table, Templates(faces)), pd.factorize(table.identity)[0]
        return self._read[1:]

    def _pooled(self, pool: str) -> tuple[Known, np.ndarray]:
        if pool not in POOLS:
            raise FacecomError(f"pool={pool!r}: one of {', '.join(POOLS)}")
        known, people = self._all()
        if pool == "best":
            return known, people
        starts = np.flatnonzero(np.diff(people, prepend=-1))
        means, _ = pooled(known.templates.faces, np.ones(len(people), bool), people, len(starts))
        table = known.table.iloc[starts].reset_index(drop=True)
        return Known(table, Templates(means)), np.arange(len(starts))


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
