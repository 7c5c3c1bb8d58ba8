"""What a training starts from: the shipped encoder, ImageNet, nothing, or another checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError
from facecom.models import backbones, checkpoint
from facecom.models.networks import build_model

#: Where a task's network keeps what both tasks have in common.
BODY = {"siamese": "encoder", "gender": "backbone"}

DEFAULT_BACKBONE = "convnext_atto"


@dataclass
class Start:
    """model: in train mode, float32, on the CPU; config: of `models.build_model`, without `task`; said: a line for the
    user; preprocessing, limits: of the checkpoint it starts from, or None; whole: it can do its task already; then
    temperature, threshold, operating_points: as `checkpoint.Loaded` has them, None or none where there is none."""

    model: nn.Module
    config: dict
    said: str
    preprocessing: dict | None = None
    limits: dict | None = None
    whole: bool = False
    temperature: float | None = None
    threshold: float | None = None
    operating_points: Sequence[dict] = ()


def initial_model(
    task: str,
    init: str,
    *,
    backbone: str | None = None,
    pool: str | None = None,
    img_size: int | None = None,
    layer_scale: bool | None = None,
    new_size: int | None = None,
) -> Start:
    """The network to train. Raises FacecomError.

    init: `shipped` (the task's shipped network), `face` (the shipped encoder), `imagenet` (downloaded by timm), `none`,
    or the path of a checkpoint of either task; backbone, pool, img_size: None takes the checkpoint's, or else
    ConvNeXt-Atto, the map where the backbone has one, and 112 pixels; new_size: img_size of a network that is new to
    the task, where that is None; layer_scale: of a new network (`backbones.without_classifier`), None leaves it out of
    one that starts from nothing.
    """
    if init in ("imagenet", "none"):
        # Residual scales of 1e-6 are made for long trainings; ImageNet's weights have them.
        scales = init == "imagenet" if layer_scale is None else layer_scale
        return _new_model(task, init, backbone or DEFAULT_BACKBONE, pool, img_size or new_size or CROP_SIZE, scales)
    shipped = {"shipped": task, "face": "siamese"}
    loaded = checkpoint.load(None, shipped[init]) if init in shipped else checkpoint.load(init)
    source = loaded.config["task"]
    if source not in BODY:
        raise FacecomError(f"--init {init}: a network for {source} starts nothing here: give face or gender weights")
    config = {name: value for name, value in loaded.config.items() if name not in ("task", "pretrained")}
    for name, asked in (("backbone", backbone), ("pool", pool)):
        if asked and asked != config.get(name, "avg"):
            raise FacecomError(
                f"--{name} {asked}: {loaded.path} has {config.get(name, 'avg')}: leave --{name} out, or start with "
                "--init imagenet or none"
            )
    config["img_size"] = img_size or (new_size if source != task else None) or loaded.preprocessing["size"]
    if source != task:
        config.pop("quality", None)
    config.pop("overexposure", None)
    model = _build(task, config)
    state = loaded.model.state_dict()
    if source != task:  # only body and neck carry over; the head is new
        body = BODY[source] + "."
        state = {name: value for name, value in state.items() if name.startswith((body, "neck."))}
        state = {name.replace(body, BODY[task] + ".", 1): value for name, value in state.items()}
    try:
        missing = set(model.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:
        raise FacecomError(
            f"--init {init}: its weights are for {loaded.preprocessing['size']} px and not for {config['img_size']}: "
            "leave --img_size out"
        ) from error
    new = sorted({name.split(".")[0] for name in missing})
    said = f"starts from {loaded.path.name} ({config['backbone']}, {config['img_size']} px)"
    said += f"; new: {', '.join(new)}" if new else ""
    whole = source == task
    known = _known(loaded) if whole else {}
    return Start(model.train(), config, said, loaded.preprocessing, whole=whole, **known)


def _known(loaded: checkpoint.Loaded) -> dict:
    """What a network that goes on with its own task brings to `Start`."""
    points = loaded.operating_points
    threshold = points[0]["threshold"] if points else None
    known = {"limits": loaded.info.get("limits"), "temperature": loaded.temperature}
    return known | {"threshold": threshold, "operating_points": points}


def face_limit(align: str) -> dict[str, float] | None:
    """`limits` of a network that has none of its own: the face confidence below which the shipped one does not answer,
    where the same finder looks for the face."""
    if align != "finder" or not (checkpoint.SHIPPED / "siamese.pt").is_file():
        return None
    limits = checkpoint.read(checkpoint.SHIPPED / "siamese.pt").get("limits") or {}
    return {"face_confidence": limits["face_confidence"]} if "face_confidence" in limits else None


def _new_model(task: str, init: str, backbone: str, pool: str | None, img_size: int, scales: bool) -> Start:
    # Position carries meaning on aligned faces, so the map is kept where a convolutional network gives one.
    pool = pool or ("map" if init == "none" and backbone.startswith("convnext") else "avg")
    config = {"backbone": backbone, "pool": pool, "img_size": img_size, "layer_scale": scales}
    if init == "none":
        return Start(_build(task, config).train(), config, f"starts from nothing ({backbone}, {img_size} px)")
    try:
        model = _build(task, config | {"pretrained": True})
    except FacecomError:
        raise
    except Exception as error:  # each of the download's layers raises errors of its own
        raise FacecomError(
            f"--init imagenet: the weights of {backbone} could not be downloaded ({_first_line(error)}): "
            "check the network, or pass --init none"
        ) from error
    return Start(model.train(), config, f"starts from ImageNet ({backbone}, {img_size} px)")


def _build(task: str, config: dict) -> nn.Module:
    if not backbones.is_known(config["backbone"]):
        raise FacecomError(f"--backbone {config['backbone']}: timm has no network of that name: see timm.list_models()")
    try:
        return build_model({"task": task, **config})
    except ValueError as error:
        if config["pool"] != "map":
            raise
        raise FacecomError(f"--pool map: {config['backbone']} gives no feature map: use --pool avg") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:160]
