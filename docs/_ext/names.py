"""What other libraries call the variants: name of ours, library, name there."""

PEERS = {
    "Dropout": {
        "PyTorch": "torch.nn.Dropout", "Keras": "keras.layers.Dropout",
        "Flax": "flax.linen.Dropout", "Equinox": "equinox.nn.Dropout", "Haiku": "haiku.dropout",
    },
    "GaussianDropout": {"Keras": "keras.layers.GaussianDropout"},
    "AlphaDropout": {"PyTorch": "torch.nn.AlphaDropout", "Keras": "keras.layers.AlphaDropout"},
    "FeatureAlphaDropout": {
        "PyTorch": "torch.nn.FeatureAlphaDropout",
        "Keras": "keras.layers.AlphaDropout(noise_shape=)",
    },
    "SpatialDropout1D": {
        "PyTorch": "torch.nn.Dropout1d", "Keras": "keras.layers.SpatialDropout1D",
        "Flax": "flax.linen.Dropout(broadcast_dims=)",
    },
    "SpatialDropout2D": {
        "PyTorch": "torch.nn.Dropout2d", "Keras": "keras.layers.SpatialDropout2D",
        "Flax": "flax.linen.Dropout(broadcast_dims=)",
    },
    "SpatialDropout3D": {
        "PyTorch": "torch.nn.Dropout3d", "Keras": "keras.layers.SpatialDropout3D",
        "Flax": "flax.linen.Dropout(broadcast_dims=)",
    },
    "DropBlock2D": {"timm": "timm.layers.DropBlock2d"},
    "CutoutDropout": {"Keras": "keras.layers.RandomErasing"},
    "LockedDropout": {
        "Keras": "keras.layers.Dropout(noise_shape=)",
        "Flax": "flax.linen.Dropout(broadcast_dims=)",
    },
    "PatchDropout": {"timm": "timm.layers.PatchDropout"},
    "StochasticDepth": {"timm": "timm.layers.DropPath"},
    "SoftmaxDropout": {
        "PyTorch": "torch.nn.functional.scaled_dot_product_attention(dropout_p=)",
        "Keras": "keras.layers.MultiHeadAttention(dropout=)",
        "Flax": "flax.linen.dot_product_attention(dropout_rate=)",
    },
}
