"""The pictures that the demo uploads."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.kinds import Kind
from demo.photographs import LABELS, Box
from demo.pictures import HARD_KEYS, Picture, Refusal, examples, pictures
from local_aws.anomaly import AnomalyDetector
from local_aws.decoded_image import UnreadableError, decode
from local_aws.detector import Detector
from local_aws.rekognition.images import MAX_BYTES_FROM_S3, read_image


@pytest.fixture(scope="module")
def uploaded() -> list[Picture]:
    return pictures()


def by_key(uploaded: list[Picture], key: str) -> Picture:
    return next(picture for picture in uploaded if picture.key == key)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(uploaded: list[Picture]) -> None:
    again, other = pictures(), pictures(seed=4)
    assert [(picture.key, picture.body) for picture in again] == [(picture.key, picture.body) for picture in uploaded]
    assert by_key(other, HARD_KEYS[0]).body != by_key(uploaded, HARD_KEYS[0]).body


def test_about_thirty_pictures_under_as_many_keys(uploaded: list[Picture]) -> None:
    assert 28 <= len(uploaded) <= 35
    assert len({picture.key for picture in uploaded}) == len(uploaded)


@pytest.mark.parametrize(
    "part", ["line 3/", "+", "%", "é", "猫", '"', "'", "<script>", "?", "a/b/c/", ".JPG", "=", "&"]
)
def test_the_keys_are_hard(uploaded: list[Picture], part: str) -> None:
    assert any(part in picture.key for picture in uploaded if picture.is_good)


def test_one_key_is_as_long_as_s3_takes_and_none_is_longer(uploaded: list[Picture]) -> None:
    sizes = {len(picture.key.encode()) for picture in uploaded}
    assert {1000, 1024} <= sizes
    assert max(sizes) == 1024


def test_two_pictures_are_the_same_file_under_other_keys(uploaded: list[Picture]) -> None:
    good = [picture.body for picture in uploaded if picture.is_good]
    assert len(good) > len(set(good))


def test_one_picture_is_uploaded_twice(uploaded: list[Picture]) -> None:
    assert [picture.uploads for picture in uploaded].count(2) == 1


def test_there_are_pictures_of_nothing(uploaded: list[Picture]) -> None:
    assert sum(picture.is_good and not picture.truths for picture in uploaded) >= 4


def test_every_cause_of_a_refusal_has_a_picture(uploaded: list[Picture]) -> None:
    bad = [picture for picture in uploaded if not picture.is_good]
    assert len(bad) >= 5
    assert {picture.refusal for picture in bad} == {Refusal.FORMAT, Refusal.TOO_LARGE, Refusal.PARAMETER}
    assert {picture.refusal for kind in Kind for picture in pictures(kind) if not picture.is_good} == set(Refusal)


def test_each_label_has_its_folder_of_examples(tmp_path: Path) -> None:
    examples(tmp_path)
    assert {path.parent.name for path in tmp_path.glob("*/*.png")} == set(LABELS)


@pytest.mark.parametrize("seed", [3, 11])
def test_the_embedded_model_can_find_nine_of_ten_objects_and_nothing_else(tmp_path: Path, seed: int) -> None:
    examples(tmp_path)
    detector = Detector(tmp_path)
    objects = hits = 0
    for picture in pictures(seed=seed):
        if not picture.is_good:
            continue
        image = read_image(picture.body, MAX_BYTES_FROM_S3, detector.matching_side)
        finds = [find for find in detector.find(image.gray) if find.confidence >= 70]
        assert {find.name for find in finds} <= {truth.label for truth in picture.truths}, picture.key
        for truth in picture.truths:
            boxes = [Box(f.box.left, f.box.top, f.box.width, f.box.height) for f in finds if f.name == truth.label]
            objects += 1
            hits += any(truth.box.iou(box) > 0.5 for box in boxes)
    assert hits >= 0.9 * objects


@pytest.mark.parametrize("kind", [Kind.SAGEMAKER, Kind.LOOKOUT_VISION])
def test_half_a_picture_is_found_by_decoding(kind: Kind) -> None:
    cut_off = by_key(pictures(kind), "bad/cut off.jpg")
    with pytest.raises(UnreadableError):
        decode(cut_off.body, 640)


def test_sagemaker_accepts_a_thumbnail_and_rekognition_does_not(uploaded: list[Picture]) -> None:
    small = by_key(uploaded, "bad/thumbnail.png")
    assert by_key(pictures(Kind.SAGEMAKER), "empty/thumbnail.png").body == small.body
    assert small.refusal is Refusal.PARAMETER


def test_only_an_anomaly_model_is_checked_for_anomalies() -> None:
    for kind in Kind:
        expected = {picture.anomalous for picture in pictures(kind) if picture.is_good}
        assert expected == ({True, False} if kind is Kind.LOOKOUT_VISION else {None})


def test_the_embedded_model_can_tell_normal_from_anomalous_and_where_each_defect_is(tmp_path: Path) -> None:
    examples(tmp_path)
    detector = AnomalyDetector(Detector(tmp_path))
    spoiled = 0
    for picture in pictures(Kind.LOOKOUT_VISION):
        if not picture.is_good:
            continue
        verdict = detector.judge(decode(picture.body, detector.matching_side))
        assert verdict.is_anomalous is picture.anomalous, picture.key
        if picture.key.startswith("spoiled/"):
            (truth,) = picture.truths
            left, top, width, height = cv2.boundingRect(verdict.mask.astype(np.uint8))
            rows, columns = verdict.mask.shape
            found = Box(left / columns, top / rows, width / columns, height / rows)
            assert truth.box.iou(found) > 0.8, picture.key
            spoiled += 1
    assert spoiled == 6
