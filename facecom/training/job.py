"""What a task brings to the training loop (`loop.py`)."""

import argparse
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from facecom import cli
from facecom.data.augmentation import derived_seed
from facecom.errors import FacecomError
from facecom.models.backbones.channels_last import made_fast
from facecom.models.backbones.depthwise import speed_up
from facecom.models.initial import Start, face_limit
from facecom.training import distributed
from facecom.training.preparation import kind_of, training_transforms
from facecom.training.samples import Samples, batches, evaluation_batches


class Diverged(FacecomError):
    """Training left the numbers: NaN, or infinite."""


class Job:
    """The part that both tasks share; each adds an optimizer and the methods that raise here.

    sets, data: of `preparation.open_data`. amp: half precision or None; select: the column of the log that decides
    which epoch is best (higher is better); judge_start: whether the network that training starts from is a candidate.
    """

    task: str
    data_set: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    select: str

    def __init__(self, args: argparse.Namespace, start: Start, preprocessing: dict, sets: dict, data: dict, device):
        self.args, self.sets, self.data = args, sets, data
        self.config, self.preprocessing = start.config, preprocessing
        self.limits = start.limits or face_limit(preprocessing["align"])
        self.judge_start = start.whole
        self.mirror = preprocessing["mirror"]
        self.device, self.amp = device, cli.pick_amp(args.amp, device)
        self.model = start.model.to(device).to(memory_format=torch.channels_last)
        if device.type == "cpu":
            made_fast(speed_up(self.model))
        self.published = args.recipe == "published"
        self.transforms = training_transforms(self.task, args, preprocessing)
        self.operating_points: list[dict] = []
        self.temperature: float | None = None

    def prepare(self) -> None:
        """What comes once before the first epoch."""

    def convinces(self) -> bool:
        """Whether the last `evaluate` may become the best: it is better than what training started from beyond chance,
        or there was no start to compare with."""
        return True

    def state(self) -> dict:
        """What `resume` needs besides what `content` says; plain values."""
        return {}

    def finish(self) -> list[str]:
        """Lines for the user at the end, the best weights being in the network."""
        return []

    def settle(self, content: dict) -> dict | None:
        """What comes once after the choice, the best weights being in the network: `content` (arguments of
        `checkpoint.save`) with what has changed, or None."""
        return None

    def batches(self, epoch: int) -> DataLoader:
        """The training batches of an epoch: views float32 [B, 3, S, S] and numbers float32 [B] in tuples."""
        raise NotImplementedError

    def published_lr(self, epoch: int) -> float:
        """What the published recipe makes of the learning rates in an epoch (from 0), as a share of their highest."""
        raise NotImplementedError

    def set_lr(self, done: float) -> float:
        """Set the learning rates for what comes after `done` epochs: a cosine that falls once, over the whole run and
        step by step, so that short runs end calm too; or as published, epoch by epoch. Returns that of the head."""
        share = self.published_lr(int(done)) if self.published else cosine(done / max(self.args.epochs, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = share * group.setdefault("initial_lr", group["lr"])
        return self.optimizer.param_groups[-1]["lr"]

    def loss(self, batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(mean loss, answers bool [B], labels bool [B]) of a batch on the network's device. Where several processes
        train, B is a process's part of the batch: samples that need each other are put together by `whole_batch`."""
        raise NotImplementedError

    def evaluate(self) -> dict[str, float]:
        """`held_<metric>` of held-back people and `val_<metric>`; settles operating points and temperature."""
        raise NotImplementedError

    def draw_seed(self, epoch: int) -> int:
        """Seed of what is drawn for an epoch; in the published recipe it is drawn once, only the order changes."""
        return derived_seed(self.args.seed, 0 if self.published else epoch)

    def shuffled(self, epoch: int, rows: np.ndarray, numbers: np.ndarray) -> DataLoader:
        """Batches of training samples in an order of the epoch's own. rows: int [N, V]; numbers: [N, M]."""
        table, crops = self.sets["train"]
        order = np.random.default_rng(derived_seed(self.args.seed, epoch, 1)).permutation(len(rows))
        seed = derived_seed(self.args.seed, epoch, 2)
        samples = Samples(crops, self.transforms, kind_of(table), rows[order], numbers[order], seed)
        workers, whole = self.args.workers, not self.published
        return batches(samples, self.args.batch_size, workers=workers, device=self.device, whole=whole)

    def answers(self, call: Callable[[torch.Tensor], torch.Tensor], crops: Sequence) -> np.ndarray:
        """What the network (`call`: itself or a method of it) says about all crops as they are: float32 [N, ...]."""
        self.model.eval()
        found = []
        part, transform = distributed.part_of(crops), self.transforms["eval"]
        loader = evaluation_batches(part, transform, workers=self.args.workers, device=self.device)
        with torch.inference_mode(), autocast(self.device, self.amp):
            for (x,) in loader:
                x = x.to(self.device, memory_format=torch.channels_last)
                found.append(call(x).float().cpu().numpy())
        answers = distributed.gathered(np.concatenate(found) if found else None, len(crops))
        if not np.isfinite(answers).all():
            raise Diverged("the network's answers are no longer numbers")
        return answers

    def content(self) -> dict:
        """Arguments of `checkpoint.save` that the last `evaluate` settled, and those that never change."""
        names = ("task", "config", "preprocessing", "operating_points", "temperature", "limits", "data")
        return {name: getattr(self, name) for name in names}

    def resume(self, content: dict) -> None:
        """Put back what `content` said."""
        self.operating_points, self.temperature = content["operating_points"], content["temperature"]


def cosine(share: float) -> float:
    """1 at 0, 0 at 1 (Loshchilov and Hutter, ICLR 2017)."""
    return 0.5 + 0.5 * math.cos(math.pi * share)


def autocast(device: torch.device, amp: torch.dtype | None) -> torch.autocast:
    """The context of half precision; None is float32."""
    return torch.autocast(device.type, amp or torch.bfloat16, enabled=amp is not None)
