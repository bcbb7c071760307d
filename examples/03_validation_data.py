"""Flatten(28, 28)-512-ReLU-dropout 0.5-10 on integer labels, with validation after every epoch."""

from _common import load, parse

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Flatten, ReLU, Sequential

options = parse(__doc__, epochs=5)
data = load(options)

model = Sequential(
    [
        Flatten(*data.x_train.shape[1:]),  # (28, 28) on MNIST, (8, 8) on the digits
        Dense(512),
        ReLU(),
        Dropout(0.5),
        Dense(10),
    ]
)
trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=options.seed)
history = trainer.fit(
    data.x_train,
    data.y_train,
    epochs=options.epochs,
    validation_data=(data.x_test, data.y_test),
)
for record in history:
    print(
        f"epoch {record['epoch']:2}: accuracy {record['accuracy']:.2%}, "
        f"validation accuracy {record['val_accuracy']:.2%}, {record['seconds']:.2f} s"
    )
