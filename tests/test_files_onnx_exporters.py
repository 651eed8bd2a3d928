"""What PyTorch's two exporters and scikit-learn's write becomes networks that give ONNX Runtime's answers, and the
answers of the models that were exported."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from onnx_answers import assert_same_answers
from picture_files import encoded

import byhand as bh
from byhand import nn
from byhand.assess import open_model

onnx = pytest.importorskip("onnx")

# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_networks(torch):
    """Networks as people write them, each with the shape of a batch and the layers that it becomes."""
    t, f = torch.nn, torch.nn.functional

    class Residual(t.Module):
        def __init__(self, *body, shortcut=None):
            super().__init__()
            self.body, self.shortcut = t.Sequential(*body), shortcut

        def forward(self, x):
            return f.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))

    class Lecture(t.Module):
        """MNIST as in PyTorch's examples: everything in `forward`, the preprocessing too."""

        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = t.Conv2d(1, 4, 3, 1), t.Conv2d(4, 6, 3, 1)
            self.dropout, self.fc1, self.fc2 = t.Dropout(0.25), t.Linear(6 * 5 * 5, 12), t.Linear(12, 10)

        def forward(self, x):
            x = (x / 255 - 0.1307) / 0.3081
            x = f.relu(self.conv1(x))
            x = f.max_pool2d(f.relu(self.conv2(x)), 2)
            x = x.view(x.size(0), -1)
            x = f.relu(self.fc1(self.dropout(x)))
            return f.log_softmax(self.fc2(x), dim=1)

    return {
        "mlp": (t.Sequential(t.Flatten(), t.Linear(49, 8), t.ReLU(), t.Dropout(0.2), t.Linear(8, 4)), (2, 1, 7, 7)),
        "one of most things": (t.Sequential(
            t.Conv2d(1, 6, 5, padding="same", bias=False), t.BatchNorm2d(6), t.ReLU(), t.MaxPool2d(2),
            t.Conv2d(6, 8, (3, 2), stride=(1, 2), groups=2), t.SiLU(), t.AvgPool2d(3, stride=1, padding=1), t.Flatten(),
            t.Linear(120, 12), t.LayerNorm(12), t.GELU(), t.BatchNorm1d(12), t.Linear(12, 10), t.Softmax(dim=-1)),
            (2, 1, 14, 14)),
        "activations": (t.Sequential(
            t.Linear(5, 6, bias=False), t.ELU(0.5), t.Linear(6, 6), t.LeakyReLU(0.2), t.Softplus(), t.Tanh(),
            t.Sigmoid(), t.Identity(), t.LogSoftmax(dim=-1)), (2, 5)),
        "residual": (t.Sequential(
            Residual(t.Conv2d(3, 4, 3, padding=1), t.BatchNorm2d(4), t.ReLU(), t.Conv2d(4, 4, 3, padding=1),
                     shortcut=t.Conv2d(3, 4, 1)), Residual(t.ReLU(), t.Conv2d(4, 4, 1)),
            t.AdaptiveAvgPool2d(1), t.Flatten(), t.Linear(4, 3)), (2, 3, 8, 8)),
        "the largest": (t.Sequential(
            t.Conv2d(3, 4, 3), t.Softplus(beta=2), Residual(t.Conv2d(4, 4, 1), t.Softplus(beta=0.5, threshold=30)),
            t.AdaptiveMaxPool2d(1), t.Flatten(), t.Linear(4, 3)), (2, 3, 8, 8)),
        "on sequences": (t.Sequential(t.Linear(5, 6), t.GELU(), t.Linear(6, 6, bias=False)), (2, 7, 5)),
        "a lecture": (Lecture(), (2, 1, 14, 14)),
    }


def export(torch, network, x, path, exporter, batch):
    """Write a network of PyTorch's as ONNX, with one of its exporters, for batches of any size or of one."""
    if exporter == "torch.export":
        pytest.importorskip("onnxscript")
        options = {"dynamo": True, "external_data": False}
        options |= {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if batch == "free" else {}
    else:
        options = {"dynamo": False} | ({"opset_version": 13} if exporter.endswith("13") else {})
        options |= {"dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}} if batch == "free" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        torch.onnx.export(network.eval(), (torch.from_numpy(x),), path, input_names=["x"], output_names=["y"],
                          verbose=False, **options)


EXPORTERS = [pytest.param("torch.export", marks=pytest.mark.slow), "TorchScript", "TorchScript, opset 13"]


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("batch", ["free", "fixed"])
@pytest.mark.parametrize("name", ["mlp", "one of most things", "activations", "residual", "the largest", "on sequences",
                                  "a lecture"])
def test_what_pytorch_exports(name, batch, exporter, rng, tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network, shape = torch_networks(torch)[name]
    network.train()(torch.from_numpy(rng.normal(1, 2, (8, *shape[1:])).astype(np.float32)))  # moves running statistics
    x = rng.uniform(0, 2, shape).astype(np.float32) * (100 if name == "a lecture" else 1)
    path = tmp_path / "model.onnx"
    export(torch, network, x, path, exporter, batch)
    if name == "one of most things" and exporter.endswith("13"):  # before opset 17, LayerNorm is written out
        with pytest.raises(ValueError, match="no layer for the operator Pow"):
            bh.files.onnx.load(path)
        return
    saved = assert_same_answers(path, x)
    with torch.no_grad():
        np.testing.assert_allclose(saved.predict(x), network(torch.from_numpy(x)), rtol=1e-4, atol=1e-5)
    assert saved.input_shape == shape[1:]
    assert (saved.normalize is not None) == (name == "a lecture")
    bh.save(saved.model, tmp_path / "ours.safetensors")  # it is a network like any other


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_lstm_is_refused_by_its_name(exporter, tmp_path):
    torch = pytest.importorskip("torch")
    x = np.zeros((2, 5, 4), np.float32)
    export(torch, torch.nn.LSTM(4, 3, batch_first=True), x, tmp_path / "model.onnx", exporter, "free")
    with pytest.raises(ValueError, match="byhand has no layer for the operator LSTM") as error:
        bh.files.onnx.load(tmp_path / "model.onnx")
    assert "\n" not in str(error.value)


# --- scikit-learn -----------------------------------------------------------------------------------------------------


@pytest.fixture
def flowers(rng):
    """Rows of four numbers, with two or three classes, names, several labels, and targets to regress on."""
    rows = rng.normal(5, 3, (60, 4)).astype(np.float32)
    three = rng.integers(0, 3, 60)
    return {"rows": rows, "two": three // 2, "three": three, "names": np.array(["setosa", "virginica", "é"])[three],
            "several": rng.integers(0, 2, (60, 3)), "number": rows[:, 0] * 0.1}


def exported(model, rows, path, **options):
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    path.write_bytes(to_onnx(model, rows[:1], **options).SerializeToString())


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize(("targets", "classes"), [
    ("three", ("0", "1", "2")), ("names", ("setosa", "virginica", "é")), ("two", ("0", "1")), ("several", ())])
def test_a_classifier_of_scikit_learn(activation, targets, classes, flowers, tmp_path):
    sklearn = pytest.importorskip("sklearn.neural_network")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        model = sklearn.MLPClassifier((6, 5), activation=activation, max_iter=5, random_state=0)
        model.fit(flowers["rows"], flowers[targets])
        for options in ({}, {"options": {"zipmap": False}}):
            exported(model, flowers["rows"], tmp_path / "model.onnx", **options)
            saved = assert_same_answers(tmp_path / "model.onnx", flowers["rows"])
            np.testing.assert_allclose(saved.predict(flowers["rows"]), model.predict_proba(flowers["rows"]), atol=1e-5)
            assert sorted(saved.classes) == sorted(classes)


def test_columns_are_refused_with_the_option_that_helps(flowers, tmp_path):
    sklearn = pytest.importorskip("sklearn.neural_network")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        model = sklearn.MLPClassifier((6,), max_iter=5, random_state=0).fit(flowers["rows"], flowers["three"])
    exported(model, flowers["rows"], tmp_path / "model.onnx", options={"zipmap": "columns"})
    with pytest.raises(ValueError, match=r"3 outputs of numbers, .* with skl2onnx by options=(\{'zipmap': False\})\.$"):
        bh.files.onnx.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("targets", ["two", "three"])
def test_the_commands_judge_it_by_its_own_probabilities(targets, flowers, tmp_path):
    sklearn = pytest.importorskip("sklearn.neural_network")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        model = sklearn.MLPClassifier((6,), max_iter=5, random_state=0).fit(flowers["rows"], flowers[targets])
    exported(model, flowers["rows"], tmp_path / "model.onnx")
    answers = open_model(tmp_path / "model.onnx").predict(flowers["rows"])
    np.testing.assert_allclose(bh.metrics.probabilities(answers), model.predict_proba(flowers["rows"]), atol=1e-5)


def test_several_labels_are_not_one_class(here):
    sklearn = pytest.importorskip("sklearn.neural_network")
    digits = bh.data.load("mini").test
    rows = digits.inputs.reshape(-1, 784).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        model = sklearn.MLPClassifier((6,), max_iter=2, random_state=0).fit(rows, np.eye(10, dtype=int)[digits.targets])
    exported(model, rows, Path("several.onnx"))
    Path("digit.png").write_bytes(encoded(digits.inputs[0, 0]))
    for words in (["evaluate", "several.onnx", "--data", "mini"], ["predict", "several.onnx", "digit.png"]):
        code, out, err = here(*words)
        assert (code, out) == (1, "") and "so each of its 10 answers may be yes or no by itself; if the larg" in err
    saved = bh.load("several.onnx")
    bh.save(saved.model, "named.safetensors", input_shape=(784,), classes=digits.classes)
    assert here("evaluate", "named.safetensors", "--data", "mini")[0] == 0


def test_one_answer_between_0_and_1_is_a_logit_for_the_commands(rng, tmp_path):
    network = nn.Sequential(nn.Linear(4, 1, rng), nn.Sigmoid())
    bh.files.onnx.save(network, tmp_path / "model.onnx", input_shape=(4,))
    assert repr(bh.files.onnx.load(tmp_path / "model.onnx").model) == repr(network)
    assert repr(open_model(tmp_path / "model.onnx").model) == repr(network[:-1])


def test_a_pipeline_and_a_regressor(flowers, tmp_path):
    sklearn = pytest.importorskip("sklearn.neural_network")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        network = sklearn.MLPRegressor(hidden_layer_sizes=(6, 5), max_iter=5, random_state=0)
        model = make_pipeline(StandardScaler(), network).fit(flowers["rows"], flowers["number"])
        for dtype in (np.float32, np.float64):
            exported(model, flowers["rows"].astype(dtype), tmp_path / "model.onnx")
            saved = assert_same_answers(tmp_path / "model.onnx", flowers["rows"].astype(dtype))
            np.testing.assert_allclose(saved.predict(flowers["rows"])[:, 0], model.predict(flowers["rows"]), rtol=1e-4,
                                       atol=1e-5)
            assert saved.model[0].weight.dtype == dtype
            np.testing.assert_allclose(saved.normalize.mean, model[0].mean_, rtol=1e-5)


def test_what_came_from_elsewhere_can_go_on_learning(flowers, rng, tmp_path):
    sklearn = pytest.importorskip("sklearn.neural_network")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sklearn.MLPClassifier((6,), max_iter=2, random_state=0).fit(flowers["rows"], flowers["three"])
        exported(model, flowers["rows"], tmp_path / "model.onnx")
    network = bh.files.onnx.load(tmp_path / "model.onnx").model[:-1]  # the logits
    assert isinstance(network[-1], nn.Linear)
    data = bh.data.Dataset(flowers["rows"], flowers["three"])
    before = bh.evaluate(network, data, loss=bh.losses.cross_entropy).loss
    bh.fit(network, data, loss=bh.losses.cross_entropy, optimizer=bh.optim.Adam(network.parameters(), lr=0.01), rng=rng,
           epochs=20, validation=None)
    assert bh.evaluate(network, data, loss=bh.losses.cross_entropy).loss < 0.9 * before
