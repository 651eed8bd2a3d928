"""What the scikit-learn estimators say to what they cannot use: one sentence each, that says what to do."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import csr_matrix

import byhand as bh
from byhand import losses
from byhand.callbacks import Callback
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 4)), RNG.integers(0, 3, 30)
LABELS = RNG.integers(0, 2, (30, 3))
PICTURES = RNG.normal(size=(30, 1, 2, 2))


def net(**options):
    """A classifier that learns for a moment."""
    return NeuralNetworkClassifier(**{"hidden_layer_sizes": 4, "max_iter": 2, **options})


def numbers(**options):
    """A regressor that learns for a moment."""
    return NeuralNetworkRegressor(**{"hidden_layer_sizes": 4, "max_iter": 2, **options})


def with_nan():
    """Rows of which one is not a number."""
    rows = X.copy()
    rows[3, 1] = np.nan
    return rows


def linear(inputs, outputs):
    """A network of one layer."""
    return bh.nn.Sequential(bh.nn.Linear(inputs, outputs, np.random.default_rng(0)))


@pytest.mark.parametrize("call, says", [
    # parameters
    (lambda: net(hidden_layer_sizes=(4, 0)).fit(X, Y), r"hidden_layer_sizes must be > 0, whole numbers .*got \[4, 0\]"),
    (lambda: net(hidden_layer_sizes=(4, 2.5)).fit(X, Y), r"hidden_layer_sizes must be > 0, .*got \[4, 2.5\]"),
    (lambda: net(activation="sine").fit(X, Y), "The 'activation' parameter of NeuralNetworkClassifier must be"),
    (lambda: net(activation=["relu", "sine"]).fit(X, Y), "activation 'sine' is none of identity, logistic, tanh"),
    (lambda: net(activation=["relu", "tanh"]).fit(X, Y), "activation has 2 names for 1 hidden layers"),
    (lambda: net(alpha=-1).fit(X, Y), "The 'alpha' parameter of NeuralNetworkClassifier must be a float in the range"),
    (lambda: net(solver="newton").fit(X, Y), "The 'solver' parameter of NeuralNetworkClassifier must be"),
    (lambda: net(early_stopping="accuracy").fit(X, Y), "The 'early_stopping' parameter of NeuralNetworkClassifier"),
    (lambda: net(loss="hinge").fit(X, Y), "The 'loss' parameter of NeuralNetworkClassifier must be"),
    (lambda: net(dropout=1.0).fit(X, Y), "The 'dropout' parameter of NeuralNetworkClassifier must be"),
    (lambda: net(model="lenet").fit(X, Y), "The 'model' parameter of NeuralNetworkClassifier must be"),
    (lambda: net(image_shape=(2, -2)).fit(X, Y), r"image_shape is \(H, W\) or \(C, H, W\).*got \(2, -2\)"),
    (lambda: net(callbacks=[Callback]).fit(X, Y), "callbacks has the class Callback; make one of it"),
    (lambda: net(callbacks=[bh.schedules.Cosine()]).fit(X, Y), "a learning-rate schedule is wrapped"),
    (lambda: net(loss=lambda outputs, targets: outputs.sum()).fit(X, Y),
     r"loss is a function of \(outputs, targets, sample_weights\), and this one takes \(outputs, targets\)\.$"),
    (lambda: net(model=lambda inputs, outputs: None).fit(X, Y),
     r"model is a function of \(input_shape, n_outputs, rng\), and this one takes \(inputs, outputs\)\.$"),
    (lambda: net(solver=lambda parameters: None).fit(X, Y), r"solver is a function of \(parameters, lr\), and this"),
    (lambda: net(learning_rate=lambda: 1.0).fit(X, Y), r"learning_rate is a function of \(progress\), and this one"),
    (lambda: net(augment=lambda images: images).fit(PICTURES, Y), r"augment is a function of \(images, rng\), and"),
    (lambda: net(solver=lambda parameters, lr: None).fit(X, Y), "fit needs an optimizer, such as"),
    # what does not go together
    (lambda: net(model=linear(4, 3), dropout=0.5).fit(X, Y), "dropout and batch_norm belong to the layers that"),
    (lambda: net(augment=bh.data.Affine()).fit(X, Y), r"augment changes pictures; .*image_shape=\(28, 28\)"),
    (lambda: net(augment=bh.data.Affine(), shuffle=False).fit(PICTURES, Y), "augment needs shuffle=True"),
    (lambda: net(solver="lbfgs", dropout=0.5).fit(X, Y), "solver='lbfgs' looks at all samples in each step"),
    (lambda: net(solver="lbfgs").fit(X, Y, X_val=X, y_val=Y), "solver='lbfgs' does not stop by a validation set"),
    (lambda: net(learning_rate=bh.schedules.Cosine()).partial_fit(X, Y, classes=range(3)), "how long training will be"),
    (lambda: net(class_weight="balanced").partial_fit(X, Y, classes=range(3)), "give the weights as a dict"),
    (lambda: net(class_weight="balanced").fit(X, LABELS), "class_weight is for classes, of which each sample has one"),
    (lambda: net(class_weight={7: 2}).fit(X, Y), "are not in class_weight"),
    (lambda: net(class_weight={0: -1}).fit(X, Y), r"class_weight has a finite number of at least 0 .*got \{0: -1\}"),
    (lambda: net(class_weight={0: np.nan}).fit(X, Y), "class_weight has a finite number of at least 0"),
    (lambda: net(class_weight={0: "x", 1: 1, 2: 1}).fit(X, Y), r"class_weight has a finite number .*\{0: 'x', 1: 1"),
    (lambda: net(class_weight={0: [1, 2]}).fit(X, Y), "class_weight has a finite number of at least 0"),
    (lambda: net(warm_start=True).fit(X, Y).fit(X, Y + 1), r"does not know: \[3\]. .* warm_start the same"),
    (lambda: net(class_weight=dict.fromkeys(range(3), 0)).fit(X, Y), "there is nothing to learn from"),
    (lambda: net().fit(X, Y, X_val=X), "X_val and y_val are given together or not at all"),
    (lambda: net().fit(X, Y, sample_weight_val=np.ones(30)), "sample_weight_val are the weights of X_val and y_val"),
    # shapes
    (lambda: net().fit(X[0], Y), "Expected 2D array, got 1D array instead"),
    (lambda: net().fit(X, Y[:5]), r"inconsistent numbers of samples: \[30, 5\]"),
    (lambda: net().fit(X[:0], Y[:0]), r"Found array with 0 sample\(s\) \(shape=\(0, 4\)\)"),
    (lambda: net().fit(PICTURES[:0], Y[:0]), r"Found array with 0 sample\(s\)"),
    (lambda: net().fit(X[:, :0], Y), r"Found array with 0 feature\(s\)"),
    (lambda: net(batch_norm=True, batch_size=1).fit(X, Y), "batches of two rows or more.*give a larger batch_size"),
    (lambda: net(batch_norm=True).partial_fit(X[:1], Y[:1], classes=range(3)), "batches of two rows or more"),
    (lambda: net(batch_norm=True, solver="lbfgs").fit(X[:1], Y[:1]), "batches of two rows or more"),
    (lambda: net().fit(X, Y).predict(X[:, :3]), "X has 3 features, but NeuralNetworkClassifier is exp"),
    (lambda: net().fit(PICTURES, Y).predict(PICTURES[:, :, :1]),
     r"pictures of shape \(1, 1, 2\) do not fit this network, whose samples have the shape \(1, 2, 2\)"),
    (lambda: net(image_shape=(3, 3)).fit(X, Y), r"rows of 4 features are no pictures of image_shape=\(3, 3\)"),
    (lambda: net(model=linear(5, 3)).fit(X, Y), r"layer '0', Linear.* got an input of shape \(1, 4\)"),
    (lambda: net(model=linear(4, 5)).fit(X, Y), r"an array of shape \(5,\), and needs \(3,\) for 3 classes"),
    (lambda: net(model=linear(4, 3)).fit(X, Y > 1), r"shape \(3,\), and needs \(1,\) or \(2,\) for 2 classes"),
    (lambda: net(model=lambda inputs, outputs, rng: None).fit(X, Y), "model is a function that returned None"),
    (lambda: numbers().fit(X, Y).partial_fit(X, LABELS), r"y has the shape \(30, 3\), and this regressor"),
    # numbers
    (lambda: net().fit(with_nan(), Y), "Input X contains NaN"),
    (lambda: net().fit(X, Y).predict(with_nan()), "Input X contains NaN"),
    (lambda: numbers().fit(X, with_nan()[:, 1]), "Input y contains NaN"),
    (lambda: numbers(solver="sgd", learning_rate_init=1e9, max_iter=50).fit(X, 1e9 * X[:, 0]),
     "training failed: the loss is not a finite number in step .* Try a lower learning rate"),
    (lambda: net().fit(X, Y, sample_weight=np.zeros(30)), "Sample weights must contain at least one non-zero number"),
    (lambda: net().fit(X, Y, sample_weight=-np.ones(30)), "Negative values in data passed to `sample_weight`"),
    # targets
    (lambda: net().fit(X, X[:, 0]), "Unknown label type: continuous"),
    (lambda: net().fit(X, RNG.integers(0, 5, (30, 2))), "fit a classifier for each column"),
    (lambda: net().fit(X, None), "requires y to be passed, but the target y is None"),
    (lambda: net().partial_fit(X, Y), "classes must be passed on the first call to partial_fit"),
    (lambda: net().partial_fit(X, Y, classes=[0, 1]), r"classes that this classifier does not know: \[2\]"),
    (lambda: net(warm_start=True).fit(X, Y).fit(X, Y + 1), r"does not know: \[3\]. It knows \[0, 1, 2\]"),
    (lambda: net().fit(X, Y, X_val=X, y_val=Y + 1), r"^y_val has classes .*know: \[3\].*; leave their rows out\.$"),
    (lambda: net().fit(X, Y, X_val=X, y_val=LABELS), r"^y_val has the shape \(30, 3\)"),
    (lambda: numbers().fit(X, Y, X_val=X, y_val=LABELS), r"^y_val has the shape \(30, 3\)"),
    (lambda: net().fit(X, Y).partial_fit(X, LABELS), r"y has the shape \(30, 3\), and this classifier was"),
    (lambda: net().fit(X, LABELS).partial_fit(X, LABELS[:, :2]), "was fitted to 3 columns of labels"),
    (lambda: numbers().fit(X, np.array(list("abc"))[Y]), "^y has to be numbers, and is an array of <U1; convert it"),
    (lambda: numbers().fit(X, np.array(list("abc"), object)[Y]), "^y has to be numbers, .*NeuralNetworkClassifier if"),
    (lambda: numbers().fit(X, X[:, 0], X_val=X, y_val=list("abc") * 10), "^y_val has to be numbers"),
    (lambda: numbers().fit(X, [None, *X[1:, 0]]), "Input y contains NaN"),
    (lambda: numbers().fit(X, csr_matrix(X)), r"^y is a sparse matrix, .*numbers: y\.toarray\(\)\.$"),
    (lambda: numbers(loss="poisson").fit(X, Y - 1), "poisson needs targets of 0 or more"),
    (lambda: numbers(loss=losses.cross_entropy).fit(X, X[:, 0]), "classes must be integers, got float64"),
    (lambda: net(loss=partial(losses.cross_entropy, label_smoothing=2)).fit(X, Y), "label_smoothing is a part"),
    (lambda: net().fit(X, np.array([1, "a", 2.5] * 10, object)), "^y holds float and int and str, and labels are all"),
    (lambda: net().fit(X, np.array([1, None, 2] * 10, object)), r"^y holds NoneType and int, .* rows without one\.$"),
    (lambda: net().partial_fit(X, ["a", None] * 15, classes=["a", "b"]), "^y holds NoneType and str"),
    (lambda: net().fit(X, Y, X_val=X, y_val=[None, "a"] * 15), "^y_val holds NoneType and str, and labels are"),
    (lambda: net().fit(X, Y).score(X, [None, "a"] * 15), "^y holds NoneType and str"),
    (lambda: net().fit(X, X[:, 0].astype(object)), "Unknown label type: continuous"),
    (lambda: net().fit(X, 3), r"^y is 3, and has to be an array with an entry for each sample\.$"),
    (lambda: net().partial_fit(X, "abc", classes=range(3)), "^y is 'abc', and has to be an array"),
    (lambda: numbers().fit(X, {}), "^y is {}, and has to be an array"),
    (lambda: net().fit(X, Y).predict("abc"), "^X is 'abc', and has to be an array"),
    (lambda: net().fit(X, Y).score(X, 3), "^y is 3, and has to be an array"),
    (lambda: net().fit([[1, 2], [3]] * 15, Y), r"^X has rows of different lengths; give all .* number of entries\.$"),
    (lambda: net().fit(X, Y).predict([[1, 2], [3]]), "^X has rows of different lengths"),
    (lambda: numbers().fit(X, [[1, 2], [3]] * 15), "^y has rows of different lengths"),
    # a loss that is not for them
    (lambda: net(loss=losses.poisson).fit(X, Y), r"^loss=poisson does not fit 3 classes: .* a logit for each class, "
     r"and the number of the right one as the target; take losses\.cross_entropy or losses\.hinge or losses\.brier\.$"),
    (lambda: net(loss=losses.binary_cross_entropy).fit(X, Y), "loss=binary_cross_entropy does not fit 3 classes: it"),
    (lambda: net(loss=losses.squared_error).fit(X, Y > 1), r"^loss=squared_error does not fit 2 classes: it would be "
     r"given logits, each with a target of 0 or 1; take losses\.binary_cross_entropy\.$"),
    (lambda: net(loss=partial(losses.huber, delta=2)).fit(X, LABELS), "loss=huber does not fit 3 labels: it would be"),
    (lambda: net(loss=losses.hinge).fit(X, LABELS), "loss=hinge does not fit 3 labels: it would be given logits, each"),
    (lambda: net(loss=losses.cross_entropy, solver="lbfgs").fit(X, LABELS), "loss=cross_entropy does not fit 3 labels"),
    (lambda: net(loss=losses.binary_cross_entropy, model=linear(4, 2)).fit(X, Y > 1), "does not fit 2 classes: it wo"),
    (lambda: net(loss=losses.hinge, model=linear(4, 1)).fit(X, Y > 1), r"shape \(1,\), and needs \(2,\) for 2 classes"),
    (lambda: net().fit(X, Y > 1).set_params(loss=losses.hinge).partial_fit(X, Y > 1), "loss=hinge does not fit 2 cl"),
    # what is too little to stop by
    (lambda: net(early_stopping=True).fit(X[:3], Y[:3]), r"too few rows .*n_samples=3.*or X_val and y_val\.$"),
    (lambda: net(early_stopping=True).fit(X[[0, 1] * 15], Y[[0, 1] * 15]), r"n_samples=30, 2 of them different, valid"),
    (lambda: numbers(early_stopping=True).fit(X, X[:, 0], X_val=X[:1], y_val=X[:1, 0]),
     r"X_val has one row that counts, and a score \(R²\) needs two at least; give more, or stop by the loss"),
    (lambda: net(early_stopping=True, validation_fraction=0.0).fit(X, Y), "; increase validation_fraction, or"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert "\n\n" not in str(error.value)


def test_a_single_row_to_judge_by_has_a_loss():
    watched = numbers(early_stopping="loss").fit(X, X[:, 0], X_val=X[:1], y_val=X[:1, 0])
    assert np.isfinite(watched.validation_loss_curve_).all() and np.isnan(watched.validation_scores_).all()
    assert net(early_stopping=True).fit(X, Y, X_val=X[:1], y_val=Y[:1]).n_iter_ == 2


def test_a_column_with_gaps():
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["a", pandas.NA, "b"] * 10, dtype="string")
    for y in (names, names.to_frame(), names.astype(object)):
        for call in (lambda y: net().fit(X, y), lambda y: net().partial_fit(X, y, classes=["a", "b"]),
                     lambda y: net().fit(X, Y).score(X, y), lambda y: numbers().fit(X, y)):
            with pytest.raises(ValueError, match=r"^y has NaN or NA where something is missing; leave those rows"):
                call(y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_without_columns(library):
    frames = pytest.importorskip(library)
    for call, name in [(lambda: net().fit(frames.DataFrame(), Y), "X"),
                       (lambda: net().fit(X, Y, X_val=frames.DataFrame(), y_val=Y), "X_val"),
                       (lambda: net().fit(X, Y).predict(frames.DataFrame()), "X")]:
        with pytest.raises(ValueError, match=f"^{name} is a frame without columns; give it one at least\\.$"):
            call()


def test_a_frame_that_nobody_has_computed():
    polars = pytest.importorskip("polars")
    rows, targets = polars.DataFrame(X).lazy(), polars.DataFrame({"y": Y}).lazy()
    for call, name in [(lambda: net().fit(rows, Y), "X"), (lambda: net().fit(X, targets), "y"),
                       (lambda: numbers().fit(X, targets), "y"), (lambda: net().fit(X, Y).predict(rows), "X"),
                       (lambda: net().partial_fit(X, targets, classes=range(3)), "y"),
                       (lambda: net().fit(X, Y, sample_weight=targets), "sample_weight"),
                       (lambda: net().fit(X, Y, X_val=rows, y_val=Y), "X_val"),
                       (lambda: net().fit(X, Y, X_val=X, y_val=targets), "y_val")]:
        with pytest.raises(ValueError, match=rf"^{name} is a LazyFrame, .* give {name}\.collect\(\)\.$"):
            call()


def changed(arrays, number, value):
    """The same weights, with another number in one of them."""
    copied = [array.copy() for array in arrays]
    copied[number][..., 0] = value
    return copied


@pytest.mark.parametrize("values, says", [
    (lambda own: own[:1], r"of this network are 2 arrays, one a layer, and not 1\.$"),
    (lambda own: [], r"are 2 arrays, one a layer, and not 0\.$"),
    (lambda own: [*own, own[0]], r"are 2 arrays, one a layer, and not 3\.$"),
    (lambda own: [own[0], own[1][:1]], r"of this network have the shapes \[\(.*\)\], and these have \[\(.*\)\]\.$"),
    (lambda own: [array[None] for array in own], "of this network have the shapes"),
    (lambda own: [array.astype(str) for array in own], r"have to be numbers, and these are \['<U.*'\]\.$"),
    (lambda own: [array.astype(complex) for array in own], "have to be numbers, and these are"),
    (lambda own: changed(own, 1, np.nan), r"\[1\] has NaN, infinity or a number too large for float32; give finite"),
    (lambda own: changed(own, 0, np.inf), r"\[0\] has NaN, infinity or a number too large"),
    (lambda own: changed([array.astype(float) for array in own], 1, 1e300), r"\[1\] has NaN, infinity or a number too"),
    (lambda own: None, "are a list of arrays, one a layer, and this is None"),
    (lambda own: 0.5, "are a list of arrays, one a layer, and this is 0.5"),
    (lambda own: [[[1.0, 2.0], [3.0]], own[1]], "are a list of arrays, one a layer, and this is"),
])
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_weights_that_a_network_cannot_have_change_nothing(name, values, says):
    fitted = net().fit(X.astype(np.float32), Y)
    before = [array.copy() for array in (*fitted.coefs_, *fitted.intercepts_)]
    with pytest.raises(ValueError, match=name + ".*" + says) as error:
        setattr(fitted, name, values(list(getattr(fitted, name))))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=rf"{name}\[1\] has NaN"):
        getattr(fitted, name)[1] = np.nan * getattr(fitted, name)[1]
    assert all(map(np.array_equal, before, (*fitted.coefs_, *fitted.intercepts_)))


@pytest.mark.parametrize("change, named", [
    ({"hidden_layer_sizes": (4, 4)}, "hidden_layer_sizes"), ({"hidden_layer_sizes": 9}, "hidden_layer_sizes"),
    ({"activation": "tanh"}, "activation"), ({"batch_norm": True}, "batch_norm"),
    ({"model": linear(4, 3)}, "model")], ids=str)
def test_a_network_that_goes_on_learning_keeps_its_layers(change, named):
    fitted = net(warm_start=True).fit(X, Y)
    before = fitted.predict_proba(X)
    fitted.set_params(**change)
    for go_on in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match=f"with the layers that it has, and {named} has changed since; set it"):
            go_on(X, Y)
    assert np.array_equal(fitted.predict_proba(X), before)
    assert fitted.set_params(warm_start=False).fit(X, Y).n_iter_ == 2
    same = net(warm_start=True, hidden_layer_sizes=(4,), activation=["relu"]).fit(X, Y)
    assert same.set_params(hidden_layer_sizes=[4], activation="relu", alpha=0.1).fit(X, Y).n_iter_ == 2


def test_what_there_is_not():
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as error:
        net(solver="lbfgs").partial_fit(X, Y, classes=range(3))
    assert "only available for stochastic optimizers" in str(error.value.__cause__)
    with pytest.raises(AttributeError, match="this NeuralNetworkClassifier has not been fitted yet"):
        net().coefs_  # noqa: B018


def test_without_scikit_learn_it_says_what_to_install():
    import subprocess
    import sys

    program = ("import sys, importlib.util as u; find = u.find_spec; "
               "u.find_spec = lambda name, *rest: None if name == 'sklearn' else find(name, *rest)\n"
               "import byhand as bh\n"
               "try: bh.NeuralNetworkClassifier\n"
               "except ImportError as error: print(error)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("byhand.estimator needs scikit-learn, which is not installed: "
                                   "pip install 'byhand[sklearn]'.")
