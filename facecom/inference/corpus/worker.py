"""What is done for a shard, in this process or in a worker of Ray: its photos are looked at, its file is written."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from facecom.cli import pick_amp, pick_device
from facecom.files import write_whole
from facecom.inference import ensemble
from facecom.inference.corpus.fetching import local_copies
from facecom.inference.corpus.rows import needed, table_of
from facecom.inference.corpus.shards import Shard, photos_of
from facecom.inference.gallery.rows import made_by_of


class Worker:
    """Called with shards, as Ray calls it: arrays of a batch by name, such as `name`, `offset`, `length`, `photos`.

    output: the folder of the Parquet files; todo: the list of `write_todo`; network: arguments of `ensemble.load`
    (`weights`, `align`, `detector_model`, `mirror`), `device` and `amp` as the flags say it; options: of `table_of`.
    What it returns of each shard: `name`, and how many `photos`, `faces`, `without` a face, `unreadable`. Raises
    FacecomError for weights that cannot be used, and where nothing can be written.
    """

    def __init__(self, output: str | os.PathLike, todo: str | os.PathLike, network: dict[str, Any], options: dict):
        self.output, self.todo, self.options = Path(output), Path(todo), options
        network = dict(network)
        weights, device = network.pop("weights"), pick_device(network.pop("device"))
        amp = pick_amp(network.pop("amp"), device)
        self.siamese = ensemble.load(weights, "siamese", device=device, amp=amp, **network)
        self.made_by = made_by_of(self.siamese)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        shards = zip(*(batch[name].tolist() for name in Shard._fields), strict=True)
        found = [self.embed(Shard(*shard)) for shard in shards]
        return {name: np.array([one[name] for one in found]) for name in found[0]}

    def embed(self, shard: Shard) -> dict:
        """Write the file of a shard, whole or not at all."""
        needed()
        import pyarrow.parquet

        names = photos_of(self.todo, shard)
        with local_copies(names) as (paths, failed):
            table = table_of(names, paths, failed, self.siamese, self.made_by, **self.options)
        with write_whole(self.output / f"{shard.name}.parquet", "wb") as file:
            pyarrow.parquet.write_table(table, file)
        reasons = table["reason"].to_pylist()
        without = sum(reason == "no face found" for reason in reasons)
        faces = reasons.count(None)
        counts = {"faces": faces, "without": without, "unreadable": len(reasons) - faces - without}
        return {"name": shard.name, "photos": len(names), **counts}
