"""The words that scripts and several pages share, in the viewer's language."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gettext


def state_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Name every state."""
    _ = words.gettext
    return {
        "angry": _("angry"),
        "disgust": _("disgusted"),
        "fear": _("afraid"),
        "happy": _("happy"),
        "sad": _("sad"),
        "surprise": _("surprised"),
        "neutral": _("neutral"),
        "unknown": _("not sure"),
    }


def looked_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Say how a face looked, for use in a sentence."""
    _ = words.gettext
    return {
        "angry": _("looked angry"),
        "disgust": _("looked disgusted"),
        "fear": _("looked afraid"),
        "happy": _("looked happy"),
        "sad": _("looked sad"),
        "surprise": _("looked surprised"),
    }


def camera_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Say whether pictures arrive."""
    _ = words.gettext
    return {
        "streaming": _("running"),
        "waiting": _("starting"),
        "lost": _("stopped"),
        "unknown": _("unknown"),
    }


def column_names(words: gettext.NullTranslations) -> dict[str, tuple[str, str]]:
    """Name each column of the fleet, and say in a sentence what it means."""
    _ = words.gettext
    return {
        "needs": (_("Needs attention"), _("What somebody should look at, gravest first.")),
        "id": (_("Device"), _("Its name, and the site it stands in.")),
        "presence": (_("State"), _("Whether the device is connected to the broker.")),
        "camera": (_("Camera"), _("Whether pictures arrive.")),
        "fps": (_("Frames/s"), _("Pictures processed a second.")),
        "p95": (
            _("p95 ms"),
            _("From picture to decision, milliseconds: 95 of 100 pictures took less."),
        ),
        "temperature": ("°C", _("Temperature of the processor; from 80 the device slows down.")),
        "level": (_("Level"), _("0 is full quality; higher levels save work under load.")),
        "outbox": (_("Outbox"), _("Events stored on the device that the broker has not got yet.")),
        "model": (_("Model"), _("The bundle of networks in use.")),
        "isolation": (
            _("Isolation"),
            _("What keeps the process that sees the camera off the network."),
        ),
        "drift": (
            _("Drift"),
            _("How unlike its training the pictures are; what counts is a rise over weeks."),
        ),
    }


def trend_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Name what is drawn over weeks."""
    _ = words.gettext
    return {
        "fps": _("Frames/s"),
        "temperature_c": "°C",
        "brightness": _("Brightness"),
        "sharpness": _("Sharpness"),
        "drift": _("Drift"),
        "abstained": _("Not sure"),
    }


def attention_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Say what needs attention."""
    _ = words.gettext
    return {
        "offline": _("offline"),
        "silent": _("not responding"),
        "unknown": _("never seen online"),
        "stopped": _("stopped"),
        "problems": _("invalid messages"),
        "isolation": _("camera process is not isolated"),
        "camera": _("camera stopped"),
        "outbox-failing": _("cannot store events"),
        "hot": _("too hot"),
        "slow": _("slower than its budget"),
        "degraded": _("reduced quality"),
        "outbox": _("events queued"),
        "drift": _("pictures have changed: calibrate this room again"),
        "dropped": _("events were dropped"),
    }


def presence_names(words: gettext.NullTranslations) -> dict[str, str]:
    """Say whether a device is there."""
    _ = words.gettext
    return {
        "online": _("online"),
        "offline": _("offline"),
        "silent": _("not responding"),
        "stopped": _("stopped"),
        "unknown": _("unknown"),
    }


def script_words(words: gettext.NullTranslations) -> dict[str, object]:
    """Return what the scripts say."""
    _ = words.gettext
    return {
        "states": state_names(words),
        "attention": attention_names(words),
        "presence": presence_names(words),
        "camera": camera_names(words),
        "faces": _("faces"),
        "hidden": _("Too few faces to show anything without pointing at somebody."),
        "noDevice": _("The device is not there."),
        "waiting": _("Nothing is known yet."),
        "windowPending": _("Shown for ten minutes at a time, a minute after their end."),
        "linkLost": _("Connection lost; trying again."),
        "brokerAway": _("Broker not reachable: what you see may be old."),
        "noCharts": _("The chart library is missing; the table below tells the same."),
        "databaseAway": _("Database not reachable: the history waits. Nothing is lost."),
        "workerAway": _("No worker is storing events."),
        "changes": _("Transitions"),
        "time": _("Time"),
        "ok": _("OK"),
        "now": _("now"),
        "tooFew": _("Too few minutes to compare."),
        "perFace": _("Changes a face in ten minutes"),
        "minutes": _("Minutes shown"),
        "remove": _("Remove"),
        "verdicts": {"right": _("right"), "wrong": _("wrong")},
        "before": _("earlier lessons"),
        "thisWeek": _("This week"),
        "lastWeek": _("Last week"),
        "wrongAlone": _("about so many would be wrong on people who only talk"),
        "empty": _("Nothing was recorded in this span."),
        "noData": _("no data"),
        "devicesShown": _("devices shown"),
    }
