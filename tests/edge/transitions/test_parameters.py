"""The parameters are read from a bundle's temporal block, and nonsense is refused in one line."""

from __future__ import annotations

import json

import pytest

from edge.bundle.manifest import Temporal
from edge.transitions import METHOD, TransitionParameters
from emoshift.emotions import Emotion
from emoshift.errors import BundleError


def block(method: str = METHOD, **parameters: object) -> Temporal:
    return Temporal(method=method, sensitivity=0.3, parameters=parameters, fitted_on="a test")


def test_no_block_takes_the_defaults() -> None:
    """A bundle without a temporal block gives parameters that work."""
    assert TransitionParameters.from_temporal(None) == TransitionParameters()


def test_round_trip_through_json() -> None:
    """Parameters written into a manifest are read back the same."""
    parameters = TransitionParameters(sensitivity=0.3, hold_s=0.21, merge={})
    written = json.loads(json.dumps(parameters.to_parameters()))
    assert TransitionParameters.from_temporal(block(**written)) == parameters


def test_configuration_overrides() -> None:
    """The operator's sensitivity and merging go before the bundle's."""
    parameters = TransitionParameters.from_temporal(
        block(), sensitivity=0.9, merge={"fear": "surprise"}
    )
    assert parameters.sensitivity == 0.9
    assert parameters.classes == tuple(e for e in Emotion if e is not Emotion.FEAR)


def test_sensitivity_lowers_the_margins() -> None:
    """Margins fall steadily from sensitivity 0 to 1, through the three given points."""
    at = [TransitionParameters(sensitivity=s / 8).scale for s in range(9)]
    assert at == sorted(at, reverse=True)
    assert (at[0], at[4], at[8]) == TransitionParameters().margin_scale


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        pytest.param({"hold": 1}, "hold: Extra inputs", id="unknown key"),
        pytest.param({"hold_s": "long"}, "hold_s", id="no number"),
        pytest.param({"hold_s": float("nan")}, "hold_s", id="not finite"),
        pytest.param(
            {"ferplus_prior": [1, 0, 0, 0, 0, 0, 0]}, "shares above 0", id="an impossible class"
        ),
        pytest.param({"fer2013_prior": [0.5] * 7}, "sum to 1", id="more than everything"),
        pytest.param({"bias": [1.0]}, "bias", id="too short"),
        pytest.param({"weights": [0, 1, 1]}, "FER", id="a head that does not count"),
        pytest.param({"talking_weights": [0, 1, 1]}, "talking_weights", id="nor while talking"),
        pytest.param({"margin_scale": [1, 2, 3]}, "must fall", id="margins the wrong way round"),
        pytest.param({"confidence": [0, -1]}, "slope", id="confidence upside down"),
        pytest.param({"sensitivity": 1}, "does not belong there", id="sensitivity inside"),
        pytest.param({"weights": [-1.0] * 3}, "more", id="several at once"),
    ],
)
def test_nonsense_is_refused(parameters: dict[str, object], says: str) -> None:
    """One line says where, what is wrong, and how much more there is."""
    with pytest.raises(BundleError, match=says) as refused:
        TransitionParameters.from_temporal(block(**parameters), where="/b/manifest.json")
    assert str(refused.value).startswith("/b/manifest.json: temporal.parameters")
    assert "\n" not in str(refused.value)


def test_another_method_is_refused() -> None:
    """Numbers fitted for another detector are never run by this one."""
    with pytest.raises(BundleError, match="'gru/1', this version runs"):
        TransitionParameters.from_temporal(block("gru/1"))


@pytest.mark.parametrize(
    "merge",
    [
        pytest.param({"fear": "sad", "sad": "angry"}, id="in a chain"),
        pytest.param({e.label: "happy" for e in Emotion if e.label != "happy"}, id="all"),
    ],
)
def test_impossible_merging_is_refused(merge: dict[str, str]) -> None:
    """Merging must leave at least two emotions and no chains."""
    with pytest.raises(BundleError, match="merg"):
        TransitionParameters.from_temporal(None, merge=merge)
