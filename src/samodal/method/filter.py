"""Where an instance is, how large it is and how surely: a Kalman filter with rates that fade.

The state is the centre of the amodal box and the logarithm of the mask's side (root of the area), each with its rate.
The three do not influence each other. Lengths in the noise are in sides, so that near and far things are alike.
Source: Kalman 1960; white noise of acceleration as in Bar-Shalom et al. 2001, section 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from samodal.masks import Mask

PEOPLE = ("person", "pedestrian", "rider")
ACCELERATION = np.array([5.0, 1.0, 0.05])
"""Process noise of x, y and log side: squared change of the rate (sides a second; 1 a second) in a second."""
OF_PEOPLE = np.array([2.5, 0.5, 0.05])
"""The same of people, whose side is short for how far they swing."""
FIRST_RATE = np.array([5.0, 5.0, 0.5])
"""Standard deviation of a rate before anything is known of it: sides a second, and 1 a second."""
FADING = np.array([1.5, 1.5, 0.5])
"""Seconds in which the rates fall to 1 / e, as the camera and the thing itself turn, and masks grow by mistake."""
EXACT, DOUBTED = 0.01, 0.3
"""Standard deviation of a mask's place in sides, of expected IoU 1, and how much it grows towards 0."""
PIXEL = 0.5
"""Standard deviation of a box's middle that rounding to pixels brings."""
SURPRISE, LEARNING, MOST_SURPRISE = 0.3, 0.1, 9.0
"""Surprise before anything is known, the weight of the newest mask in it, and the most that a mask may surprise."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of an instance at a time.

    Attributes:
        time: seconds.
        mean: (3, 2) x and y in pixels and log side, each with its rate a second.
        covariance: (3, 2, 2) of each with its rate.
        surprise: (2,) squared errors of x and y that were found, in those expected, smoothed: below 1 for what moves
            more evenly than the noise allows for.
        category: class name.
    """

    time: float
    mean: np.ndarray
    covariance: np.ndarray
    surprise: np.ndarray
    category: str

    @classmethod
    def of(cls, mask: Mask, time: float, expected_iou: float, category: str) -> Belief:
        """The belief after a first mask."""
        value, variance = measured(mask, expected_iou)
        covariance = np.zeros((3, 2, 2))
        covariance[:, 0, 0], covariance[:, 1, 1] = variance, (FIRST_RATE * _unit(value[2])) ** 2
        mean = np.stack([value, np.zeros(3)], axis=1)
        return cls(time, mean, covariance, np.full(2, SURPRISE), category)

    @property
    def centre(self) -> np.ndarray:
        """(2,) x and y of the middle of the box in pixels."""
        return self.mean[:2, 0]

    @property
    def side(self) -> float:
        """Root of the area in pixels."""
        return float(np.exp(self.mean[2, 0]))

    @property
    def spread(self) -> np.ndarray:
        """(2,) standard deviation of x and y of the centre in pixels, as this instance's own masks have shown it."""
        return np.sqrt(self.covariance[:2, 0, 0] * self.surprise)

    def at(self, time: float) -> Belief:
        """The belief at a later time, from what is known now."""
        seconds = max(time - self.time, 0.0)
        fade = np.exp(-seconds / FADING)
        step = np.eye(2)[None].repeat(3, axis=0)
        step[:, 0, 1], step[:, 1, 1] = FADING * (1 - fade), fade
        noise = (OF_PEOPLE if self.category in PEOPLE else ACCELERATION) * _unit(self.mean[2, 0]) ** 2
        drift = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        covariance = step @ self.covariance @ step.transpose(0, 2, 1) + noise[:, None, None] * drift
        return replace(
            self, time=max(time, self.time), mean=(step @ self.mean[..., None])[..., 0], covariance=covariance
        )

    def with_value(self, value: np.ndarray, variance: np.ndarray) -> Belief:
        """The belief after a measurement of (3,) x, y and log side; an infinite variance leaves a value out."""
        gain = self.covariance[:, :, 0] / (self.covariance[:, 0, 0] + variance)[:, None]
        mean = self.mean + gain * (value - self.mean[:, 0])[:, None]
        return replace(self, mean=mean, covariance=self.covariance - gain[:, :, None] * self.covariance[:, None, 0])

    def with_mask(self, mask: Mask, time: float, expected_iou: float, category: str) -> Belief:
        """The belief after an amodal mask at a later time."""
        expected, (value, variance) = self.at(time), measured(mask, expected_iou)
        error = (value - expected.mean[:, 0])[:2] ** 2 / (expected.covariance[:, 0, 0] + variance)[:2]
        surprise = self.surprise + LEARNING * (np.minimum(error, MOST_SURPRISE) - self.surprise)
        return replace(expected.with_value(value, variance), surprise=surprise, category=category)


def measured(mask: Mask, expected_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """(3,) x, y and log side of an amodal mask, and (3,) their variance."""
    side = mask.side
    relative = (EXACT + DOUBTED * (1 - expected_iou)) ** 2 + (PIXEL / side) ** 2
    return np.array([*mask.centre, np.log(side)]), relative * np.array([side**2, side**2, 1.0])


def _unit(log_side: float) -> np.ndarray:
    """(3,) what one side is, in the units of x, y and log side."""
    side = np.exp(log_side)
    return np.array([side, side, 1.0])
