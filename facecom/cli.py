"""What the scripts share: argument groups, the choice of the device, and how errors reach the user.

Importing this module does not import torch: `--help` is instant.
"""

import argparse
import contextlib
import ctypes
import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from facecom.errors import FacecomError, FacecomWarning
from facecom.files import write_whole
from facecom.files.streams import reader_may_leave
from facecom.signals import Signals, Terminated, leave

if TYPE_CHECKING:
    import torch

#: `--align`: how the face is found.
ALIGNMENTS = ("finder", "yunet", "fixed", "off")

DEFAULT_ALIGN = "finder" if (Path(__file__).parent / "weights" / "landmarks.pt").exists() else "fixed"

#: Of <malloc.h>: how many pools there are for all threads (M_ARENA_MAX); from how many bytes on freed memory is given
#: back (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD).
MALLOC_POOLS, MALLOC_KEPT = {-8: 2}, {-1: 1 << 29, -3: 1 << 29}

#: What NumPy and torch both take.
HIGHEST_SEED = 2**63 - 1

#: The file of a run folder that holds its settings.
SETTINGS = "args.yaml"

#: What is wrong with a path itself, wherever it is looked at: of Python before 3.14, `Path.is_dir` lets these through.
PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

#: What the machine runs out of, or what fails in it, with or without a file's name, and what to do.
MACHINE_ERRORS = {
    errno.EIO: "check the disk",
    errno.ESTALE: "check the drive in the network",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "close other programs, or give a smaller --batch_size",
}


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """The lines of the description as they are, and the default of every flag that does not say it itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, []) or action.default is False or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def shared_arguments() -> argparse.ArgumentParser:
    """Parent parser (`parents=[shared_arguments()]`) with the flags that mean the same in every script."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("machine")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network runs")
    # `torchrun` starts several processes a machine, which share its cores.
    cores = max(1, min(8, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    group.add_argument(
        "--workers",
        type=int,
        default=cores,
        help="threads that take a batch of photos each (training: processes that read them), 0 for none",
    )
    group.add_argument("--seed", type=int, default=42, help="the same seed gives the same result")
    group.add_argument(
        "--amp",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="half precision where the machine is fast at it: fp16 on CUDA, bf16 on a CPU that has it",
    )
    group.add_argument("--quiet", action="store_true", help="no progress bars")
    group = parser.add_argument_group("finding the face")
    group.add_argument(
        "--align",
        choices=ALIGNMENTS,
        help="finder: the project's own; yunet: OpenCV's detector, for faces small in a scene; fixed: the box that "
        "the face fills in FACECOM's photos; off: the whole picture (default: what the weights were trained with)",
    )
    group.add_argument("--detector_model", help="YuNet ONNX file, for --align yunet")
    return parser


def refuse_less(args: argparse.Namespace, least: Mapping[str, int]) -> None:
    """Raises FacecomError for a flag below the least that it may say; flags that are not there, or None, may."""
    for name, number in least.items():
        value = getattr(args, name, None)
        if value is not None and value < number:
            raise FacecomError(f"--{name} {value}: must be at least {number}")


def run(
    main: Callable,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    recipes: Mapping[str, Mapping] | None = None,
    last: bool = False,
) -> None:
    """Parse the command line, call `main(args)` and leave the process with its return value, 0 where that is no number.

    FacecomWarning becomes one line `note: ...` on stderr; FacecomError, a path that the system refuses (`PATH_ERRORS`)
    and a machine that fails (`MACHINE_ERRORS`) one line `error: ...` and exit code 2; Ctrl-C exits with 130, SIGTERM
    with 143. Who reads the output through a pipe may leave (`| head`): the work goes on. Anything else is a defect and
    shows its traceback. last: the process has nothing else to do (`signals.leave`).
    """
    parser.formatter_class = HelpFormatter
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, category, *more: (
        f"note: {message}\n" if issubclass(category, FacecomWarning) else usual(message, category, *more)
    )
    signals, code = Signals(), 0
    try:
        with signals, reader_may_leave(), _decoders_are_quiet():
            found = main(parse(parser, argv, recipes))
        code = found if isinstance(found, int) else 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
        raise
    except (FacecomError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in MACHINE_ERRORS:
            if error.filename is None or error.errno not in PATH_ERRORS:
                raise
        print(f"error: {_said_by(error)}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, Terminated, RuntimeError) as error:
        if isinstance(error, RuntimeError) and signals.came is None:  # else torch's, of a worker that was stopped, too
            raise
        # What a library was just about to wait for is let go with the traceback, after this line.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        print("stopped", file=sys.stderr)
        code = 128 + (signals.came or signal.SIGINT)
    finally:
        warnings.formatwarning = usual
        signals.restore(code)
    if last:
        leave(code)
    sys.exit(code)


def _said_by(error: FacecomError | OSError) -> str:
    """Its line; of an error in a worker process, torch would tell the way that it came, too."""
    text = str(error)
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        remedy = MACHINE_ERRORS.get(error.errno or 0, "check the path")
        text = f"{place}{str(error.strerror).lower()}: {remedy}"
    text = text.encode("utf-8", "backslashreplace").decode()  # names need not be text
    return text.rpartition("FacecomError: ")[2].strip() if text.startswith("Caught FacecomError in") else text


@contextlib.contextmanager
def _decoders_are_quiet() -> Iterator[None]:
    """What Pillow remarks about damaged photos is not for users: they are told which were left out, and why. Nor what
    Matplotlib does without a home."""
    levels = {name: logging.getLogger(name).level for name in ("PIL", "matplotlib")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            for name in levels:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def parse(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    recipes: Mapping[str, Mapping] | None = None,
) -> argparse.Namespace:
    """The arguments, the later over the earlier: defaults, those of `--recipe`, the file of `--config`, flags.

    recipes: the defaults of each recipe. `--resume` takes the settings of `--run_dir` where no `--config` is given.
    Raises FacecomError for a file that cannot be read or names an unknown setting.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    config = getattr(args, "config", None)
    if config is None and getattr(args, "resume", False):
        earlier = Path(args.run_dir) / SETTINGS
        config = earlier if earlier.exists() else None
    if config is not None:
        argv = [*settings_as_flags(config, parser), *argv]
        args = parser.parse_args(argv)
    if recipes:
        parser.set_defaults(**recipes[args.recipe])
        args = parser.parse_args(argv)
    for name, value in vars(args).items():
        setattr(args, name, _at_home(value))
    if not 0 <= getattr(args, "seed", 0) <= HIGHEST_SEED:
        raise FacecomError(f"--seed {args.seed}: must be from 0 to {HIGHEST_SEED}")
    return args


def _at_home(value):
    """The value with a leading `~` in its paths expanded, as shells do where it is not in quotes."""
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    if isinstance(value, Path):
        return value.expanduser()
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value


def settings_as_flags(path: str | Path, parser: argparse.ArgumentParser) -> list[str]:
    """A YAML file of settings (`save_settings`) as the flags that mean the same, checked like flags then."""
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FacecomError(f"{path}: cannot be read as settings: give the args.yaml of a run") from error
    if not isinstance(settings, dict):
        raise FacecomError(f"{path}: holds no settings: give lines like `lr: 0.0001`")
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    unknown = sorted(str(name) for name in settings.keys() - actions.keys())
    if unknown:
        raise FacecomError(f"{path}: unknown settings {', '.join(unknown)}: remove them or correct their names")
    flags = []
    told = {name: value for name, value in settings.items() if value is not None}
    for name, value in told.items():
        action = actions[name]
        if isinstance(action, argparse.BooleanOptionalAction):
            flags.append(f"--{name}" if value else f"--no-{name}")
        elif action.nargs == 0:  # store_true
            flags += [f"--{name}"] if value else []
        elif isinstance(value, list):
            flags += [f"--{name}", *map(str, value)]
        else:
            flags.append(f"--{name}={value}")
    return flags


def save_settings(path: str | Path, args: argparse.Namespace) -> None:
    """Write the resolved arguments as YAML that `--config` takes; what only says how to start is left out."""
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in ("config", "resume")}
    with write_whole(path) as file:
        yaml.safe_dump(settings, file, sort_keys=True)


def pool_memory(keep: bool = True) -> bool:
    """Give back freed memory, and let threads share what they free from now on. keep: and let the process, which only
    answers, keep it for the next layer of a network: what the system gets back it hands out page by page, which takes a
    tenth of a run. Returns whether the C library can (GNU's from 2.35 on)."""
    if arrow := sys.modules.get("pyarrow"):  # the tables' strings are in a pool of its own
        arrow.default_memory_pool().release_unused()
    try:
        library = ctypes.CDLL(None)
        library.malloc_trim(0)
        return all([library.mallopt(*option) for option in (MALLOC_POOLS | (MALLOC_KEPT if keep else {})).items()])
    except (OSError, AttributeError, TypeError):  # another library; Windows
        return False


def pick_device(name: str = "auto") -> "torch.device":
    """`auto` takes CUDA where there is one. Raises FacecomError for `cuda` without one."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise FacecomError("--device cuda: no CUDA device is usable here: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def pick_amp(amp: bool, device: "torch.device") -> "torch.dtype | None":
    """The half precision that pays on this device, or None for float32: fp16 on CUDA, bf16 on a CPU that has it."""
    import torch

    if not amp:
        return None
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if cpu_has_bf16() else None


@cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware: elsewhere it is emulated, and slower than float32."""
    held_to = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()  # PyTorch may be told to do without
    if held_to in ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux: Apple's M2 and later have it, but torch does not use it
        return False
    return any(flag in flags for flag in (" bf16", "avx512_bf16", "amx_bf16"))  # of ARM, and of x86
