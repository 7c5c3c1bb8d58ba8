"""The shards of a corpus over Ray's workers: all cores of this machine, or a cluster (`RAY_ADDRESS`)."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from facecom.cli import pool_memory
from facecom.errors import FacecomError
from facecom.inference.corpus.shards import Shard
from facecom.inference.corpus.worker import Worker


class RayWorker(Worker):
    """A worker that has one core: it reads photos itself, and torch computes in one thread."""

    def __init__(self, output: str, todo: str, network: dict[str, Any], options: dict):
        torch.set_num_threads(1)
        pool_memory()
        super().__init__(output, todo, network, options | {"workers": 0})


def spread(
    todo: Sequence[Shard], output: Path, path: Path, network: dict, options: dict, concurrency: int | None
) -> Iterator[dict]:
    """What `Worker` says of each shard, as they get done. A worker that dies is started again, and its shard with it.

    path: of `write_todo`, to be seen by all machines, as `output` is. Raises FacecomError without Ray.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise FacecomError(f'--ray needs the package {error.name}: pip install "facecom[ray]"') from None
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        on_gpu = network["device"] == "cuda" or (network["device"] == "auto" and torch.cuda.is_available())
        means = ray.cluster_resources()
        count = concurrency or max(1, min(len(todo), int(means.get("GPU" if on_gpu else "CPU", 1))))
        items = [shard._asdict() for shard in todo]
        answered = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            RayWorker,
            fn_constructor_args=(str(output), str(path), network, options),
            concurrency=count,
            batch_size=1,
            num_cpus=0 if on_gpu else 1,
            num_gpus=1 if on_gpu else 0,
        )
        yield from answered.iter_rows()
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, FacecomError):
            raise FacecomError(str(cause)) from None
        raise
    finally:
        if started:
            ray.shutdown()
