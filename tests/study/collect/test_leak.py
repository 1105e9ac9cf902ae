"""The pixels alone, of all that a browser receives before a vote, tell a real image from a generated one.

A classifier gets everything else about many images: sizes, headers, the bytes around the pixels, addresses,
the state that names them, and the time that each answer took. With a planted leak it must succeed. There are
two sets of generated images, so two arms: both show the real images, which are requested twice as often.
"""

import struct
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sqlalchemy import select, update

from convergan.study.storage.schema import Image, Trial
from convergan.study.web import guard
from studies import QUICK


@pytest.fixture
def make_served(make_study, serve, tmp_path, monkeypatch):
    """Serve a study whose sessions have a given number of images. Returns it with its folders: half as many
    busy real images, and as many smooth generated ones in each of two sets. Compressed, only sizes differ."""
    # A few sessions, of one address, that ask as fast as they can.
    for limit in ("_SESSION_LIMIT", "_ADDRESS_LIMIT"):
        monkeypatch.setattr(guard, limit, (10**9, 10**9))

    def make(images):
        generator = np.random.default_rng(0)
        folders = {}
        for name, rough in (("real", 60), ("made", 8), ("best", 8)):
            folders[name] = tmp_path / name
            folders[name].mkdir()
            for number in range(images // 2):
                noise = generator.normal(128, rough, (24, 24, 3)).clip(0, 255).astype(np.uint8)
                Picture.fromarray(noise).save(folders[name] / f"{number}.png")
        plan = replace(QUICK, trials=images, practice=0, checks=0)
        sets = {name: folders[name] for name in ("made", "best")}
        return serve(make_study(plan, real=folders["real"], generated=sets)), folders

    return make


def received(served, sessions):
    """Features [images x sessions, features], the truth of each image, and which image it was."""
    rows, truth, image = [], [], []
    images = served.study.plan.trials
    for _ in range(sessions):
        participant = served.participant()
        state = participant.post("/api/resume")
        with served.study.database.reading() as session:
            latest = select(Trial).order_by(Trial.participant_id.desc(), Trial.position)
            trials = session.scalars(latest.limit(images)).all()
        for trial in trials:
            task = state.json["tasks"][0]
            start = time.perf_counter()
            answer = participant.get(task["image"])
            seconds = time.perf_counter() - start
            address = text_features(task["image"])
            rows.append([seconds, *features(answer), *address, len(state.body)])
            truth.append(trial.generated)
            image.append(trial.image_id)
            state = participant.vote(task["position"], "real")
    return np.array(rows, dtype=float), np.array(truth), np.array(image)


def features(answer):
    """Features of an answer with an image: status, headers, length, and every byte that holds no pixels."""
    metadata = bytearray()
    content, place = answer.body, 8
    metadata += content[:8]
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        metadata += content[place : place + 8]
        chunk = content[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            # What the compression says beside the pixels: its own header and the length of its result.
            metadata += chunk[:7] + struct.pack(">I", len(zlib.decompress(chunk)))
        else:
            metadata += chunk + content[place + 8 + length : place + 12 + length]
        place += 12 + length
    assert place == len(content)
    # The date goes on for all alike.
    headers = sorted((name, value) for name, value in answer.headers.items() if name != "date")
    digests = [zlib.crc32(f"{name}: {value}".encode()) for name, value in headers]
    return [answer.status, len(answer.body), len(headers), *digests, *metadata[:80], len(metadata)]


def text_features(address):
    return [len(address), *address.encode()[-22:]]


def auc_bounds(rows, truth, image):
    """AUC of a gradient-boosted classifier on images it has not seen, between one-sided 95 % bounds."""
    scores = np.empty(len(truth))
    for train, test in GroupKFold(5, shuffle=True, random_state=0).split(rows, truth, image):
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
        scores[test] = model.fit(rows[train], truth[train]).predict_proba(rows[test])[:, 1]
    generator = np.random.default_rng(0)
    places = [np.flatnonzero(image == image_id) for image_id in np.unique(image)]
    aucs = []
    for _ in range(200):
        resample = np.concatenate(
            [places[i] for i in generator.integers(len(places), size=len(places))]
        )
        aucs.append(roc_auc_score(truth[resample], scores[resample]))
    lower, upper = np.quantile(aucs, [0.05, 0.95])
    return lower, roc_auc_score(truth, scores), upper


@pytest.mark.parametrize(
    ("images", "sessions", "bound"),
    # Chance alone must not come near the bound: the upper end of 480 answers stays below 0.65, four standard
    # errors away, and that of 4,000, each image in several sessions, below 0.55.
    [(240, 2, 0.65), pytest.param(1000, 4, 0.55, marks=pytest.mark.slow)],
)
def test_nothing_but_pixels_tells_the_truth(make_served, images, sessions, bound):
    served, _ = make_served(images)
    rows, truth, image = received(served, sessions)
    # As many sessions in each arm, so the real images twice as often as the others.
    frequencies = np.unique(np.unique(image, return_counts=True)[1], return_counts=True)
    times = sessions // 2
    assert [column.tolist() for column in frequencies] == [
        [times, 2 * times],
        [images, images // 2],
    ]
    assert truth.mean() == 0.5
    _, auc, upper = auc_bounds(rows, truth, image)
    assert upper < bound, f"AUC {auc:.3f}, up to {upper:.3f}"


def test_a_planted_leak_is_found(make_served):
    """The same images as compressed files, as a page that just serves a folder would have them."""
    served, folders = make_served(240)
    with served.study.database.writing() as session:
        for row in session.execute(select(Image.id, Image.images, Image.name)).all():
            content = (folders[row.images] / row.name).read_bytes()
            session.execute(update(Image).where(Image.id == row.id).values(content=content))
    lower, auc, _ = auc_bounds(*received(served, sessions=1))
    assert auc > 0.9 and lower > 0.9
