"""Steps for scikit-learn's pipelines; needs ``cydropout[sklearn]``."""

from cydropout.sklearn.feature_dropout import FeatureDropoutTransformer

__all__ = ["FeatureDropoutTransformer"]
