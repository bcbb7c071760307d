"""``cydropout bench``: a short look at this machine, without a checkout that has the benches."""
