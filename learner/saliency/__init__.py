"""Where in a picture a reward comes from: gradient, integrated gradients and occlusion."""

from __future__ import annotations

from learner.saliency.ensemble import METHODS as METHODS
from learner.saliency.ensemble import Method as Method
from learner.saliency.ensemble import NoPictures as NoPictures
from learner.saliency.ensemble import maps as maps
