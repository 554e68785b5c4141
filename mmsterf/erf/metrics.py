"""Numbers for effective receptive fields.

A is a map of non-negative contributions (H, W), S its sum, and "the centre" the analysed position in input pixels.
"""

import math
from typing import Union

import numpy as np

from .core import STERF

SHARES = (0.2, 0.3, 0.5, 0.99)


def centred_box(a: np.ndarray, share: float, centre: tuple[int, int]) -> tuple[int, float]:
    """Return the smallest centred square that holds at least `share` of the map: (side, area / (H W)).

    The side is odd; where the square leaves the image only the part inside counts, so the ratio is in (0, 1] for
    non-square images and positions off the middle, too. Source: high-contribution area ratio, Ding et al., "Scaling Up
    Your Kernels to 31x31" (RepLKNet), CVPR 2022, section 4. There it is taken from log10(1 + A), which depends on the
    scale of the gradients; here from A. An empty map gives (0, nan).
    """
    h, w = a.shape
    if not a.any():
        return 0, math.nan
    row, column = centre
    ring = np.maximum(np.abs(np.arange(h) - row)[:, None], np.abs(np.arange(w) - column)[None])
    held = np.cumsum(np.bincount(ring.ravel(), weights=a.ravel()))
    # the sum in rings rounds differently from share * S: let a share that is reached exactly count as reached
    radius = int(np.searchsorted(held, share * held[-1] * (1 - 1e-12)))
    return 2 * radius + 1, float((ring <= radius).mean())


def replknet_ratio(result: STERF, share: float) -> tuple[float, float]:
    """Return side and area ratio of the high-contribution area as RepLKNet's script defines them.

    Four things differ from `centred_box`: the gradient is that of the outputs' positive parts; of it, the positive part
    counts (both are ``st_erf(..., signed=True)``); log10(1 + A) takes the place of A, which is the sum over colours and
    steps here, so that the ratio depends on the scale of the gradients; and squares start at 3 pixels, end inside the
    image, and hold more than the share. The area is (side / H) (side / W). NaN where no such square holds the share.

    Source: Ding et al., "Scaling Up Your Kernels to 31x31" (RepLKNet), CVPR 2022, section 4 and its published analysis.

    Raises:
        ValueError: If the result is not signed: absolute gradients have another ratio.
    """
    if not result.signed:
        raise ValueError(f"RepLKNet's ratio needs signed=True: the map of {result.layer} is of absolute values")
    a = np.log10(1 + result.mean.sum(0) * result.channels)
    h, w = a.shape
    row, column = result.centre
    ring = np.maximum(np.abs(np.arange(h) - row)[:, None], np.abs(np.arange(w) - column)[None])
    held = np.cumsum(np.bincount(ring.ravel(), weights=a.ravel()))
    for radius in range(1, h // 2):
        if held[min(radius, len(held) - 1)] > share * held[-1]:
            side = 2 * radius + 1
            return side, side / h * side / w
    return math.nan, math.nan


def replknet_ratios(result: STERF) -> dict[str, float]:
    """Return `replknet_ratio` for all shares, flat: replknet_side_20, replknet_area_20, ..."""
    out = {}
    for share in SHARES:
        name = f'{round(100 * share)}'
        out[f'replknet_side_{name}'], out[f'replknet_area_{name}'] = replknet_ratio(result, share)
    return out


def moments(a: np.ndarray) -> tuple[float, float, float]:
    """Return centroid row, centroid column and radius of gyration sqrt(sum A |p - centroid|^2 / S), in pixels.

    A two-dimensional Gaussian of standard deviation s has radius s * sqrt(2). An empty map gives NaN.
    """
    total = a.sum()
    if not total:
        return math.nan, math.nan, math.nan
    rows, columns = np.arange(a.shape[0]), np.arange(a.shape[1])
    by_row, by_column = a.sum(1) / total, a.sum(0) / total
    row, column = by_row @ rows, by_column @ columns
    variance = by_row @ (rows - row) ** 2 + by_column @ (columns - column) ** 2
    return float(row), float(column), math.sqrt(variance)


def profiles(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertical profile (H,) and the horizontal profile (W,): A summed over the other axis."""
    return a.sum(1), a.sum(0)


def gaussian(x: np.ndarray, amplitude: float, mean: float, sigma: float) -> np.ndarray:
    """Return amplitude * exp(-(x - mean)^2 / (2 sigma^2)); for sigma 0 the point at `mean`."""
    if sigma == 0:
        return np.where(x == mean, amplitude, 0.0)
    return amplitude * np.exp(-0.5 * ((x - mean) / sigma) ** 2)


def fit_gaussian(profile: np.ndarray) -> dict[str, float]:
    """Fit `gaussian` to a profile by least squares (Levenberg-Marquardt from its moments).

    Returns:
        amplitude, mean (pixels), sigma (pixels), and r2 = 1 - residual / total sum of squares: 1 is perfect, 0 no
        better than a constant. NaN for an empty profile; r2 is NaN for a constant one.
    """
    x = np.arange(len(profile), dtype=float)
    scale = float(profile.max(initial=0))
    if not scale:
        return dict.fromkeys(('amplitude', 'mean', 'sigma', 'r2'), math.nan)
    y = np.asarray(profile, float) / scale
    mean = x @ y / y.sum()
    p = np.array([1.0, mean, math.sqrt((x - mean) ** 2 @ y / y.sum())])
    spread = ((y - y.mean()) ** 2).sum()
    if p[2] > 0:
        p = _least_squares(x, y, p)
    residual = ((y - gaussian(x, *p)) ** 2).sum()
    r2 = float(1 - residual / spread) if spread > 1e-12 * len(y) else math.nan
    return {'amplitude': float(p[0] * scale), 'mean': float(p[1]), 'sigma': float(abs(p[2])), 'r2': r2}


def _least_squares(x: np.ndarray, y: np.ndarray, p: np.ndarray, steps: int = 200) -> np.ndarray:
    damping = 1e-3
    cost = ((y - gaussian(x, *p)) ** 2).sum()
    for _ in range(steps):
        shape, z = gaussian(x, 1.0, p[1], p[2]), (x - p[1]) / p[2]
        jacobian = np.stack([shape, p[0] * shape * z / p[2], p[0] * shape * z**2 / p[2]], axis=1)
        normal = jacobian.T @ jacobian
        right = jacobian.T @ (y - p[0] * shape)
        step = np.linalg.lstsq(normal + damping * np.diag(np.diag(normal) + 1e-12), right, rcond=None)[0]
        tried = p + step
        new = ((y - gaussian(x, *tried)) ** 2).sum() if tried[2] > 1e-3 else math.inf
        if new <= cost:
            done = cost - new <= 1e-14 * cost
            p, cost, damping = tried, new, damping / 10
            if done:
                break
        else:
            damping *= 10
            if damping > 1e12:
                break
    return p


def entropy_coverage(a: np.ndarray) -> float:
    """Return exp(-sum q ln q) / (H W) with q = A / S, in [1 / (H W), 1].

    The perplexity is the number of pixels a uniform map of the same entropy covers: 1 is all, a point 1 / (H W).
    Source: Shannon 1948. NaN for an empty map.
    """
    if not a.any():
        return math.nan
    q = a[a > 0] / a.sum()
    return float(np.exp(-(q * np.log(q)).sum()) / a.size)


def centre_share(a: np.ndarray, centre: tuple[int, int], part: int = 8) -> float:
    """Return the share of the map in the centred box of sides H / `part`, W / `part` (rounded up to odd), in [0, 1].

    A uniform map has about 1 / part^2. NaN for an empty map.
    """
    if not a.any():
        return math.nan
    box = tuple(slice(max(0, c - n // (2 * part)), c + n // (2 * part) + 1) for c, n in zip(centre, a.shape))
    return float(a[box].sum() / a.sum())


def temporal_decay(curve: np.ndarray) -> dict[str, float]:
    """Fit r(d) = A exp(-d / c) to a temporal ERF by least squares on ln r, weighted by r^2.

    Returns:
        decay_constant c and half_life c ln 2, both in time steps (0 if delay 0 has everything, inf if the curve does
        not fall), and decay_r2 in ln r. NaN for fewer than two delays or an empty curve. A leaky integrator of time
        constant t follows (1 - 1/t)^d, so c = -1 / ln(1 - 1/t).
    """
    nothing = dict.fromkeys(('decay_constant', 'half_life', 'decay_r2'), math.nan)
    delays = np.flatnonzero(curve > 0)
    if len(curve) < 2 or not len(delays):
        return nothing
    if len(delays) == 1:
        constant = 0.0 if delays[0] == 0 else math.inf
        return {'decay_constant': constant, 'half_life': constant, 'decay_r2': math.nan}
    y, weight = np.log(curve[delays]), (curve[delays] / curve.max()) ** 2
    weight = weight / weight.sum()
    dx, dy = delays - weight @ delays, y - weight @ y
    slope = weight @ (dx * dy) / (weight @ dx**2)
    spread = weight @ dy**2
    constant = -1 / slope if slope < 0 else math.inf
    r2 = 1 - weight @ (dy - slope * dx) ** 2 / spread if spread > 0 else math.nan
    return {
        'decay_constant': float(constant),
        'half_life': float(constant * math.log(2)),
        'decay_r2': float(r2),
    }


def measure(result: STERF) -> dict[str, Union[str, int, float]]:
    """Return all numbers of one layer's ST-ERF, flat.

    Keys: layer, num, time_steps, step, grid_h, grid_w, height, width, centre_row, centre_column; field_h, field_w, the
    theoretical receptive field (`STERF.field`), NaN where it is not known; area_20, area_30,
    area_50, area_99 and the sides side_20 ... (`centred_box`); nonzero, the share of pixels that are not exactly zero;
    radius, centroid_row, centroid_column (`moments`); sigma_v, sigma_h, r2_v, r2_h of the vertical and horizontal
    profile (`fit_gaussian`); entropy_coverage; centre_share; decay_constant, half_life, decay_r2 (`temporal_decay`);
    relative_sem, the standard error of the map relative to it, sum(sem) / sum(mean); signed, cancels and notes of the
    result.
    Lengths are input pixels. Of a map that cancels, all numbers are those of an empty one: NaN, and sides of 0.
    """
    a = result.spatial() * (not result.cancels)
    out = {
        'layer': result.layer,
        'num': result.num,
        'time_steps': result.time_steps,
        'step': result.step,
        'grid_h': result.grid[0],
        'grid_w': result.grid[1],
        'height': a.shape[0],
        'width': a.shape[1],
        'centre_row': result.centre[0],
        'centre_column': result.centre[1],
        'field_h': result.field[0] if result.field else math.nan,
        'field_w': result.field[1] if result.field else math.nan,
    }
    for share in SHARES:
        side, area = centred_box(a, share, result.centre)
        out[f'side_{round(100 * share)}'], out[f'area_{round(100 * share)}'] = side, area
    out['nonzero'] = math.nan if result.cancels else float((a > 0).mean())
    out['centroid_row'], out['centroid_column'], out['radius'] = moments(a)
    for name, profile in zip('vh', profiles(a)):
        fit = fit_gaussian(profile)
        out[f'sigma_{name}'], out[f'r2_{name}'] = fit['sigma'], fit['r2']
    out['entropy_coverage'] = entropy_coverage(a)
    out['centre_share'] = centre_share(a, result.centre)
    out.update(temporal_decay(result.temporal() * (not result.cancels)))
    out['relative_sem'] = float(result.sem.sum() / result.mean.sum()) if a.any() else math.nan
    out['signed'] = result.signed
    out['cancels'], out['notes'] = result.cancels, '; '.join(result.notes)
    return out
