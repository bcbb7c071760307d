"""Estimators and steps for scikit-learn's pipelines; needs ``cydropout[sklearn]``."""

from cydropout.sklearn.classifier import DropoutMLPClassifier
from cydropout.sklearn.feature_dropout import FeatureDropoutTransformer
from cydropout.sklearn.regressor import DropoutMLPRegressor

__all__ = ["DropoutMLPClassifier", "DropoutMLPRegressor", "FeatureDropoutTransformer"]
