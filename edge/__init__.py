"""The device: camera frames in, emotion transitions out."""

import os

__version__ = "0.1.0"

# OpenCV and the TFLite runtime chatter on standard error; what matters is said by this package.
# They read these once, when they are first imported.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GLOG_minloglevel", "3")
