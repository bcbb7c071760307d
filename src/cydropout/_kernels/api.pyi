from typing import Any

import numpy as np

TILE_SIZE: int
CPU_LEVEL: int
WALKERS: int
WINDOW: int

class Table:
    period: int
    def __init__(self, q: np.ndarray, scale: np.ndarray) -> None: ...

class Plan:
    def __init__(
        self,
        key: int,
        draw: int,
        offset: int,
        size: int,
        map: Table | tuple[int, float],
        store: bool,
    ) -> None: ...
    def set_affine(self, shift: float, dropped: float) -> None: ...
    def set_draw(self, key: int, draw: int) -> None: ...
    def set_bits(self, words: np.ndarray) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def bits(self, num_threads: int = 0) -> np.ndarray[Any, np.dtype[np.uint32]]: ...
    def apply(
        self,
        x: np.ndarray,
        y: np.ndarray,
        code: int,
        num_threads: int = 0,
        affine: bool = False,
    ) -> None: ...
    def apply_rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        code: int,
        sizes: list[int],
        strides: list[int],
        length: int,
        shared: bool,
        num_threads: int = 0,
        affine: bool = False,
        scales: np.ndarray | None = None,
    ) -> None: ...
    def forward(
        self,
        z: np.ndarray,
        bias: np.ndarray,
        y: np.ndarray,
        code: int,
        kind: int,
        a: float,
        columns: int,
        num_threads: int = 0,
    ) -> None: ...
    def backward(
        self,
        dy: np.ndarray,
        z: np.ndarray,
        bias: np.ndarray,
        dz: np.ndarray,
        totals: np.ndarray,
        code: int,
        kind: int,
        a: float,
        columns: int,
        num_threads: int = 0,
    ) -> None: ...
    def joint(
        self,
        kind: str,
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        code: int,
        num_threads: int = 0,
    ) -> None: ...

class Noise:
    def __init__(
        self,
        key: int,
        draw: int,
        offset: int,
        size: int,
        theta: np.ndarray,
        logistic: bool = False,
        sharpness: float = 1.0,
        store: bool = False,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def apply(
        self, x: np.ndarray, y: np.ndarray, code: int, num_threads: int = 0
    ) -> None: ...
    def backward(
        self,
        dy: np.ndarray,
        x: np.ndarray,
        dx: np.ndarray,
        totals: np.ndarray,
        code: int,
        columns: int,
        num_threads: int = 0,
    ) -> None: ...
    def variates(self, num_threads: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]: ...

def standout(
    z: np.ndarray,
    r: np.ndarray,
    y: np.ndarray,
    bits: np.ndarray | None,
    draw: tuple[int, int] | None,
    code: int,
    kind: int,
    a: float,
    b: float,
    num_threads: int = 0,
) -> None: ...
def standout_backward(
    dy: np.ndarray,
    z: np.ndarray,
    r: np.ndarray,
    bits: np.ndarray | None,
    dz: np.ndarray,
    dr: np.ndarray | None,
    code: int,
    kind: int,
    a: float,
    b: float,
    num_threads: int = 0,
) -> None: ...
def connect(
    plan: Plan,
    x: np.ndarray,
    weight: np.ndarray,
    y: np.ndarray,
    code: int,
    units: int,
    num_threads: int = 0,
) -> None: ...
def connect_backward(
    plan: Plan,
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    dx: np.ndarray | None,
    dweight: np.ndarray,
    code: int,
    units: int,
    num_threads: int = 0,
) -> None: ...
def block_bits(
    drawn: np.ndarray,
    count: int,
    sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    inner: int,
    num_threads: int = 0,
) -> np.ndarray[Any, np.dtype[np.uint32]]: ...
def walk_bits(
    key: int,
    draw: int,
    count: int,
    height: int,
    width: int,
    inner: int,
    target: int,
    walkers: int,
    num_threads: int = 0,
) -> np.ndarray[Any, np.dtype[np.uint32]]: ...
def hole_bits(
    key: int,
    draw: int,
    count: int,
    height: int,
    width: int,
    rows: int,
    columns: int,
    number: int,
    num_threads: int = 0,
) -> np.ndarray[Any, np.dtype[np.uint32]]: ...
def count_bits(
    words: np.ndarray, count: int, bits: int, num_threads: int = 0
) -> np.ndarray[Any, np.dtype[np.int64]]: ...
def ready(x: object, out: object) -> int: ...
def dropout(
    key: int,
    draw: int,
    rate: float,
    x: np.ndarray,
    y: np.ndarray,
    code: int,
    num_threads: int = 0,
) -> None: ...
def gather(
    x: np.ndarray,
    index: np.ndarray,
    y: np.ndarray,
    columns: int,
    code: int,
    plan: Plan | None = None,
    num_threads: int = 0,
) -> None: ...
def scatter_add(
    x: np.ndarray,
    index: np.ndarray,
    y: np.ndarray,
    columns: int,
    code: int,
    plan: Plan | None = None,
    num_threads: int = 0,
) -> None: ...
def gather_submatrix(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray | None,
    columns: np.ndarray | None,
    height: int,
    width: int,
    stride: int,
    scale: float,
    code: int,
    num_threads: int = 0,
) -> None: ...
def scatter_submatrix(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray | None,
    columns: np.ndarray | None,
    height: int,
    width: int,
    stride: int,
    scale: float,
    code: int,
    num_threads: int = 0,
) -> None: ...
def subset(
    key: int,
    draw: int,
    offset: int,
    rows: int,
    size: int,
    count: int,
    flags: bool = False,
    num_threads: int = 0,
) -> np.ndarray: ...
class Recurrence:
    def __init__(
        self,
        kind: str,
        z: np.ndarray,
        h: np.ndarray,
        c: np.ndarray | None,
        inner: np.ndarray | None,
        h0: np.ndarray,
        c0: np.ndarray | None,
        bias: np.ndarray,
        inner_bias: np.ndarray,
        keeps: list[tuple[np.ndarray | None, int, int, float]],
        code: int,
    ) -> None: ...
    def forward(
        self, weight: np.ndarray, state: np.ndarray, product: np.ndarray, num_threads: int = 0
    ) -> None: ...
    def backward(
        self,
        weight: np.ndarray,
        dy: np.ndarray,
        dz: np.ndarray,
        ds: np.ndarray | None,
        flow: np.ndarray,
        back: np.ndarray,
        dh: np.ndarray,
        dc: np.ndarray | None,
        before: np.ndarray,
        num_threads: int = 0,
    ) -> None: ...

def use(capsule: object) -> None: ...
def set_stream_from(nbytes: int) -> int: ...
def set_default_threads(num_threads: int) -> None: ...
def folded(totals: np.ndarray, columns: int) -> np.ndarray: ...
def repeated(values: np.ndarray, count: int) -> np.ndarray: ...
def philox_digit(
    key: int, draw: int, tile: int, j: int
) -> np.ndarray[Any, np.dtype[np.uint32]]: ...
def softmax(
    scores: np.ndarray,
    y: np.ndarray,
    statistics: np.ndarray,
    keep: np.ndarray | None,
    allow: np.ndarray | None,
    which: np.ndarray | None,
    causal: bool,
    scale: float,
    factor: float,
    code: int,
    num_threads: int = 0,
) -> None: ...
def softmax_backward(
    dy: np.ndarray,
    scores: np.ndarray,
    dscores: np.ndarray,
    statistics: np.ndarray,
    keep: np.ndarray | None,
    allow: np.ndarray | None,
    which: np.ndarray | None,
    causal: bool,
    scale: float,
    factor: float,
    code: int,
    num_threads: int = 0,
) -> None: ...
def jobs_address() -> int: ...
def set_host(parallel_for: int, host_threads: int) -> None: ...
def dropout_at(
    key: int, draw: int, rate: float, x: int, y: int, size: int, code: int, num_threads: int = 0
) -> None: ...
def launcher() -> dict[str, int]: ...
def rehearse(tick: int, deaf: bool) -> None: ...
def wrong_label(labels: np.ndarray, classes: int) -> int: ...
def cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    gradient: np.ndarray,
    code: int,
    num_threads: int = 0,
) -> tuple[float, int]: ...
def layer_norm(
    x: np.ndarray,
    y: np.ndarray,
    statistics: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    epsilon: float,
    code: int,
    num_threads: int = 0,
) -> None: ...
def layer_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    dx: np.ndarray,
    totals: np.ndarray,
    statistics: np.ndarray,
    weight: np.ndarray,
    code: int,
    num_threads: int = 0,
) -> None: ...
def steps(
    kind: str,
    group: list[tuple[np.ndarray | None, ...]],
    grads: list[Any],
    *,
    learning_rate: float,
    beta1: float = 0.0,
    beta2: float = 0.0,
    epsilon: float = 0.0,
    decay: float = 0.0,
    correction: float = 1.0,
    nesterov: bool = False,
    num_threads: int = 0,
) -> None: ...
def step(
    kind: str,
    w: np.ndarray,
    g: np.ndarray,
    first: np.ndarray | None,
    second: np.ndarray | None,
    submatrix: tuple[np.ndarray | None, np.ndarray | None, int, int, int] | None = None,
    *,
    learning_rate: float,
    beta1: float = 0.0,
    beta2: float = 0.0,
    epsilon: float = 0.0,
    decay: float = 0.0,
    correction: float = 1.0,
    nesterov: bool = False,
    totals: np.ndarray | None = None,
    columns: int = 0,
    lazy: bool = False,
    num_threads: int = 0,
) -> None: ...
def scale_columns(
    w: np.ndarray, factors: np.ndarray, columns: int, num_threads: int = 0
) -> None: ...
def windows(
    kind: str,
    x: np.ndarray,
    y: np.ndarray,
    code: int,
    maps: tuple[int, ...],
    counts: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    before: tuple[int, ...],
    first: int = 0,
    taken: int = 0,
    at: np.ndarray | None = None,
    num_threads: int = 0,
) -> None: ...
def normalise(
    kind: str,
    source: np.ndarray,
    x: np.ndarray | None,
    target: np.ndarray | None,
    code: int,
    center: np.ndarray,
    scale: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    mean: np.ndarray | None = None,
    tilt: np.ndarray | None = None,
    totals: np.ndarray | None = None,
    span: int = 1,
    relu: bool = False,
    num_threads: int = 0,
) -> None: ...
