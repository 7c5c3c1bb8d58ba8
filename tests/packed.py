"""Packed crops of drawn people, as `pretraining.targets.crops` writes them."""

from pathlib import Path

import numpy as np

from facecom.data.holdback import is_held_back
from facecom.faces.alignment import align
from facecom.synthetic import draw_person


def pack(folder: Path) -> Path:
    """Twelve drawn people, two photos each, three of them held back; the teacher's embeddings are theirs by
    construction."""
    # Enough of them are held back at 5 %: names are tried until three are.
    names = [f"p{n}" for n in range(200)]
    people = [n for n in names if is_held_back(n, 0.05)][:3] + [n for n in names if not is_held_back(n, 0.05)][:9]
    rng = np.random.default_rng(0)
    pictures, rows, teacher = [], ["identity,group,gender,source,file"], []
    for number, name in enumerate(people):
        centre = rng.standard_normal(128)
        for photo in range(2):
            image, landmarks = draw_person(number, photo, size=112)
            pictures.append(align(image, landmarks))
            rows.append(f"{name},{name},,drawn,")
            found = centre + 0.1 * rng.standard_normal(128)
            teacher.append(found / np.linalg.norm(found))
    np.save(folder / "crops.npy", np.stack(pictures))
    np.save(folder / "teacher.npy", np.stack(teacher).astype(np.float32))
    (folder / "people.csv").write_text("\n".join(rows) + "\n")
    return folder
