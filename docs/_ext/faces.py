"""The public names: where users look for them, and what each one is."""

import importlib
import inspect

#: The modules, and what stands in each.
FACES = {
    "": "Masks in one call, and what is needed most",
    "functional": "Arrays in, arrays out",
    "masks": "What was drawn, and its two maps",
    "random": "Where masks are drawn from",
    "layers": "Layers, among them every variant of dropout",
    "training": "Trainer, history, Monte Carlo dropout",
    "training.losses": "Losses",
    "training.optimizers": "Optimizers",
    "training.schedules": "Schedules of rates and learning rates",
    "training.callbacks": "What runs between epochs and batches",
    "training.data": "Data",
    "tuning": "Choosing rates",
    "onnx": "Models for inference elsewhere",
    "sklearn": "For scikit-learn's pipelines",
    "torch": "For PyTorch models",
    "torch.functional": "Functions for PyTorch tensors",
}


def module(face):
    """Return the module of a face."""
    return importlib.import_module(f"cydropout.{face}".rstrip("."))


def names(face):
    """Return the public names of a module: of ``__all__``, or its own."""
    found = module(face)
    own = [key for key, value in vars(found).items() if not key.startswith("_")
           and getattr(value, "__module__", None) == found.__name__]
    return sorted({*getattr(found, "__all__", own), *getattr(found, "_LATER", ())}, key=str.lower)


def public():
    """Return the functions and classes by face and name, each at the first face that has it."""
    seen, found = set(), {}
    for face in FACES:
        members = {name: getattr(module(face), name) for name in names(face)}
        # An alias has no page of its own.
        for name, value in sorted(members.items(), key=lambda pair: pair[0] != getattr(
                pair[1], "__name__", "")):
            if (inspect.isroutine(value) or inspect.isclass(value)) and value not in seen:
                seen.add(value)
                found.setdefault(face, {})[name] = value
    return found


def home(name):
    """Return the full name of what the table of variants calls ``name``, and the object."""
    for face, values in public().items():
        if name in values and not face.startswith("torch"):
            return ".".join(filter(None, ("cydropout", face, name))), values[name]
    raise LookupError(f"{name} of the table of variants is no public name")
