import numpy as np
import pandas as pd
import pytest
from rows import assert_same, counts, figures

from facecom.data import folders
from facecom.evaluation import comparisons, metrics, protocols
from facecom.inference import templates


def table_of(*names: str) -> pd.DataFrame:
    """`Ann/1` is a clean photo, `Ann/1_foggy` its copy."""
    identity, file = zip(*(name.split("/") for name in names), strict=True)
    photo, _, condition = zip(*(f.partition("_") for f in file), strict=True)
    columns = {"identity": identity, "photo": photo, "condition": [c or "clean" for c in condition], "file": names}
    return pd.DataFrame(columns)


def at_angles(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


def chord(degrees: float) -> float:
    return 2 * np.sin(np.radians(degrees) / 2)


#: Ann has two photos and a foggy copy of the first that looks like Bob; Bob and Cid have one photo each.
TABLE = table_of("Ann/1", "Ann/2", "Ann/1_foggy", "Bob/1", "Cid/1")
EMBEDDINGS = at_angles(0, 10, 25, 30, 90)


@pytest.fixture
def random_people():
    """12 people of 1 to 4 photos with a noisy copy each; embeddings that know the person a little."""
    rng = np.random.default_rng(0)
    names = [f"P{p:02}/{i}{c}" for p in range(12) for i in range(1 + p % 4) for c in ("", "_noisy")]
    table = table_of(*names)
    people = rng.normal(size=(12, 16))
    embeddings = people[comparisons.identity_keys(table)] + rng.normal(size=(len(table), 16)) * 1.5
    return table, (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)


def test_cross_photo_by_hand():
    rows = protocols.cross_photo(TABLE, EMBEDDINGS)
    found, count = figures(rows), counts(rows)
    # Clean: 1 against 2 and 2 against 1, at 10 degrees; the closest strangers are at 20.
    assert count["clean", "auc"] == 2
    assert (found["clean", "tar@far=1e-3"], found["clean", "auc"], found["clean", "eer"]) == (1, 1, 0)
    # Foggy: the own photo (25 degrees) does not count, the other (15) is farther than Bob (5) and nearer than Cid (65).
    assert count["foggy", "auc"] == 1
    assert (found["foggy", "tar@far=1e-3"], found["foggy", "auc"]) == (0, 0.5)
    # All: genuine 10, 10, 15; impostors 5, 20, 20 and more.
    assert count["all", "auc"] == 3
    assert found["all", "tar@far=1e-4"] == 0
    assert found["all", "auc"] == pytest.approx(1 - 3 / (3 * 12))


def test_identification_by_hand():
    found, count = (f(protocols.identification(TABLE, EMBEDDINGS)) for f in (figures, counts))
    assert (count["clean", "rank1"], count["foggy", "rank1"], count["all", "rank1"]) == (2, 1, 3)
    assert (found["clean", "rank1"], found["clean", "macro_f1"]) == (1, 1)
    assert (found["foggy", "rank1"], found["foggy", "rank5"], found["foggy", "macro_f1"]) == (0, 1, 0)
    assert found["all", "rank1"] == pytest.approx(2 / 3)
    assert found["all", "macro_f1"] == pytest.approx(2 * 2 / (3 + 2))  # Ann: 2 of 3 found; nobody else is asked for

    found, count = (f(protocols.identification(TABLE, EMBEDDINGS, own_photo=True)) for f in (figures, counts))
    assert (count["clean", "rank1"], count["foggy", "rank1"]) == (4, 1)
    assert (found["clean", "rank1"], found["foggy", "rank1"]) == (1, 0)
    assert {row["protocol"] for row in protocols.identification(TABLE, EMBEDDINGS, own_photo=True)} == {
        "identification-own-photo"
    }


def test_knowing_the_photo_is_not_knowing_the_person():
    """The trap: embeddings that are equal for copies of a photo and random otherwise."""
    rng = np.random.default_rng(0)
    conditions = ("", "_blurred", "_foggy", "_lowlight", "_noisy", "_rainy", "_resized", "_sunny")
    table = table_of(*(f"P{p}/{i}{c}" for p in range(40) for i in range(1 + p % 2) for c in conditions))
    by_photo = rng.normal(size=(60, 64)).astype(np.float32)
    by_photo /= np.linalg.norm(by_photo, axis=1, keepdims=True)
    embeddings = by_photo[comparisons.photo_keys(table)]
    found = figures(protocols.published(table, embeddings, [{"threshold": 0.8, "far": 1e-3}]))
    assert found["all", "same_photo_share"] == pytest.approx((20 * 7 + 20 * 14) / (20 * 7 + 20 * 15))
    assert found["all", "accuracy"] > 0.97
    assert figures(protocols.identification(table, embeddings, own_photo=True))["noisy", "rank1"] == 1
    assert figures(protocols.identification(table, embeddings))["noisy", "rank1"] < 0.15
    assert figures(protocols.cross_photo(table, embeddings))["noisy", "tar@far=1e-3"] < 0.15


def test_a_collapsed_network_scores_nothing():
    table = table_of(*(f"P{p}/{i}{c}" for p in range(5) for i in range(3) for c in ("", "_sunny")))
    same = np.full((len(table), 128), 1 / np.sqrt(128), np.float32)
    found = figures(protocols.cross_photo(table, same))
    assert (found["sunny", "tar@far=1e-3"], found["sunny", "auc"], found["sunny", "eer"]) == (0, 0.5, 0.5)
    for own_photo in (False, True):
        assert figures(protocols.identification(table, same, own_photo=own_photo))["all", "rank1"] == 0


def test_unreadable_photos_are_as_if_they_were_not_there(random_people):
    table, embeddings = random_people
    unreadable = np.zeros(len(table), bool)
    unreadable[[0, 5, 30]] = True
    without = protocols.all_task_b(
        table[~unreadable].reset_index(drop=True), embeddings[~unreadable], [{"threshold": 1.0, "far": 1e-3}]
    )
    blanked = np.where(unreadable[:, None], np.nan, embeddings)
    assert_same(protocols.all_task_b(table, blanked, [{"threshold": 1.0, "far": 1e-3}]), without)


def test_blocks_change_nothing(random_people, monkeypatch):
    points = [{"threshold": 1.0, "far": 1e-3}]
    whole = protocols.all_task_b(*random_people, points, resamples=20)
    monkeypatch.setattr(comparisons, "BLOCK", 70)  # two probes at a time
    assert_same(protocols.all_task_b(*random_people, points, resamples=20), whole)


def test_chosen_conditions_are_judged_as_among_all(random_people):
    for protocol in (protocols.cross_photo, protocols.identification):
        noisy = [row for row in protocol(*random_people, resamples=20) if row["condition"] == "noisy"]
        assert_same(protocol(*random_people, conditions=["noisy"], resamples=20), noisy)


def test_without_another_photo_the_figures_are_undefined():
    rows = protocols.all_task_b(table_of("Ann/1", "Bob/1"), at_angles(0, 50), [{"threshold": 0.5, "far": 1e-3}])
    found = {(row["protocol"], row["metric"]): row for row in rows}
    for protocol, metric in (
        ("cross-photo", "tar@far=1e-3"),
        ("cross-photo", "auc"),
        ("identification", "rank1"),
        ("threshold-transfer", "tar"),
    ):
        assert np.isnan(found[protocol, metric]["value"]) and found[protocol, metric]["count"] == 0
    assert found["threshold-transfer", "far"]["value"] == 0 and found["threshold-transfer", "far"]["count"] == 2
    assert protocols.all_task_b(table_of("Ann/1"), at_angles(0))  # one person: no impostor pair, no failure


def test_intervals_are_those_of_repeated_identities(random_people):
    """Against a plain loop that repeats every identity's scores as often as it was drawn."""
    table, embeddings = random_people
    identity = comparisons.identity_keys(table)
    found = {row["metric"]: row for row in protocols.cross_photo(table, embeddings, resamples=30, seed=7)[:4]}
    ((probes, _, scores, same, own),) = comparisons.comparisons(table, embeddings, "clean")
    rng = np.random.default_rng(7)
    drawn = rng.multinomial(12, [1 / 12] * 12, size=30)
    slow = []
    for weights in drawn:
        times = np.broadcast_to(weights[identity[probes]][:, None], scores.shape)
        genuine, impostor = (np.repeat(scores[kind], times[kind]) for kind in (same & ~own, ~same))
        slow.append((metrics.tar_at_far(genuine, impostor, 1e-3)[0], metrics.auc(genuine, impostor)))
    low, high = np.nanquantile(slow, [0.025, 0.975], axis=0)
    assert (found["tar@far=1e-3"]["low"], found["auc"]["low"]) == pytest.approx(tuple(low), abs=1e-12)
    assert (found["tar@far=1e-3"]["high"], found["auc"]["high"]) == pytest.approx(tuple(high), abs=1e-12)


def test_threshold_transfer_by_hand():
    points = [{"threshold": chord(12), "far": 1e-3}, {"threshold": chord(7), "far": 1e-4}]
    found, count = (f(protocols.threshold_transfer(TABLE, EMBEDDINGS, points)) for f in (figures, counts))
    assert (found["clean", "tar"], found["clean", "tar@fitted=1e-4"]) == (1, 0)
    assert (found["foggy", "tar"], found["foggy", "far"], found["foggy", "far@fitted=1e-4"]) == (0, 0.5, 0.5)
    assert found["all", "far"] == pytest.approx(1 / 12)
    assert (count["clean", "far"], count["clean", "tar"], count["foggy", "far"]) == (10, 2, 2)
    assert protocols.threshold_transfer(TABLE, EMBEDDINGS, []) == []


def test_operating_points_keep_their_promise(random_people, monkeypatch):
    table, embeddings = random_people
    rng = np.random.default_rng(5)
    extra = rng.normal(size=(400, 16)).astype(np.float32)
    extra /= np.linalg.norm(extra, axis=1, keepdims=True)
    genuine, impostor, _ = comparisons.strictest_scores(table, embeddings, "all", 1.0)  # all of them
    strangers = -templates.distance_matrix(embeddings, extra).ravel()
    monkeypatch.setattr("facecom.evaluation.operating_points.BLOCK", 1000)  # several blocks of extra photos
    for point in protocols.fit_operating_points(table, embeddings, extra, (1e-2, 1e-3)):
        # Among one's own people and among the strangers, each by itself.
        found = [metrics.tar_at_far(genuine, scores, point["far"]) for scores in (impostor, strangers)]
        tar, threshold = max(found, key=lambda one: one[1])
        assert point["threshold"] == pytest.approx(-threshold, abs=1e-6)  # blocks round differently
        assert point["tar"] == tar
        for scores in (impostor, strangers):
            assert (scores > -point["threshold"] + 1e-6).mean() <= point["far"]
        count = len(impostor) + len(strangers)
        assert (point["genuine"], point["impostor"], point["identities"]) == (len(genuine), count, 12)
    alone = protocols.fit_operating_points(table, embeddings, fars=(1e-2,))
    found = figures(protocols.threshold_transfer(table, embeddings, alone))
    assert 0 < found["all", "far"] <= 1e-2
    assert protocols.fit_operating_points(table_of("Ann/1"), at_angles(0)) == []
    strict, lax = ([{"far": 1e-2, "threshold": alone[0]["threshold"] + more}] for more in (-0.1, 0.1))
    kept = protocols.fit_operating_points(table, embeddings, fars=(1e-2,), before=strict)[0]  # 66 pairs of people
    assert kept["threshold"] == pytest.approx(strict[0]["threshold"]) and kept["impostor"] == alone[0]["impostor"]
    assert kept["tar"] == pytest.approx((genuine >= -strict[0]["threshold"]).mean())
    assert protocols.fit_operating_points(table, embeddings, fars=(1e-2,), before=lax) == alone
    many = protocols.fit_operating_points(table, embeddings, fars=(0.2,))
    stricter = [{"far": 0.2, "threshold": many[0]["threshold"] - 0.1}]
    assert protocols.fit_operating_points(table, embeddings, fars=(0.2,), before=stricter) == many


def test_cannot_tell_is_not_counted_as_right():
    table = table_of("Ann/1", "Ann/1_foggy", "Bob/1", "Bob/1_foggy")
    embeddings = at_angles(0, 1, 90, 91)
    sure = figures(protocols.published(table, embeddings))
    assert sure["all", "accuracy@0.5"] == sure["all", "same_photo_share"] == 1
    assert ("all", "accuracy") not in sure  # no operating point is stored
    points = [{"threshold": 0.9, "far": 1e-3}]
    unsure = protocols.published(table, embeddings, points, unsure=np.array([False, True, False, False]))
    found, count = figures(unsure), counts(unsure)
    assert count["all", "accuracy"] == 4
    assert found["all", "recall"] == 0.5
    assert found["all", "answered"] <= 0.75
    assert found["all", "accuracy"] == found["all", "answered"]
    assert found["all", "accuracy@0.5"] == 1  # the published solution always answers
    # Not accepted is right for two people: only Ann's own pair is lost.
    assert (found["all", "accuracy@rejected"], found["all", "recall@rejected"]) == (0.75, 0.5)


def test_one_photograph_twice_is_told_without_a_face():
    table = table_of("Ann/1", "Ann/1_foggy", "Bob/1", "Bob/1_foggy")
    unsure = np.array([False, True, False, True])
    photos = at_angles(0, 0, 90, 90)
    known = templates.Templates(at_angles(0, 120, 90, 10), photos, ~unsure)
    points = [{"threshold": 0.5, "far": 1e-3}]
    for embeddings, recall in ((known, 1), (known.faces, 0)):
        found = figures(protocols.published(table, embeddings, points, unsure=unsure))
        assert found["all", "recall"] == found["all", "recall@rejected"] == recall
        own = figures(protocols.identification(table, embeddings, own_photo=True))
        assert own["foggy", "rank1"] == recall


def test_slices_by_gender_share_one_threshold(random_people):
    table, embeddings = random_people
    everybody = figures(protocols.cross_photo(table, embeddings))
    table = table.assign(gender=np.where(comparisons.identity_keys(table) < 6, "male", "female"))
    rows = protocols.cross_photo(table, embeddings)
    found, count = figures(rows), counts(rows)
    assert found["all", "auc"] == everybody["all", "auc"]
    men, women = (count["all", f"tar@far=1e-3 {gender}"] for gender in ("male", "female"))
    assert men + women == count["all", "tar@far=1e-3"]
    pooled = found["all", "tar@far=1e-3 male"] * men + found["all", "tar@far=1e-3 female"] * women
    assert pooled / (men + women) == pytest.approx(found["all", "tar@far=1e-3"])
    difference = found["all", "tar@far=1e-3 male"] - found["all", "tar@far=1e-3 female"]
    assert found["all", "tar@far=1e-3 gap"] == pytest.approx(difference)
    assert ("all", "rank1 gap") in figures(protocols.identification(table, embeddings))


def test_facecom_val_has_the_counts_that_evaluation_names(facecom_val):
    table = folders.task_b_table(facecom_val)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(table), 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    rows = protocols.all_task_b(table, embeddings, [{"threshold": 0.5, "far": 1e-3}], resamples=0)
    found = {(r["protocol"], r["condition"], r["metric"]): r for r in rows}
    for condition in ("clean", "sunny"):
        assert found["cross-photo", condition, "auc"]["count"] == 1238
        assert found["threshold-transfer", condition, "far"]["count"] == 394 * 393 - 1238
        assert found["identification", condition, "rank1"]["count"] == 236
        assert found["identification-own-photo", condition, "rank1"]["count"] == 394
    assert found["published", "all", "same_photo_share"]["count"] == 2930
    assert found["published", "all", "same_photo_share"]["value"] == pytest.approx(2758 / 2930)


def test_strangers_of_the_probes_gender_are_judged_apart():
    """Two people of one gender look alike, all others are at right angles: the threshold rises, by the plain count."""
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for person in range(6):
        centre = np.eye(8)[person if person < 5 else 4] * 4  # people 4 and 5: the same place
        for photo in range(4):
            rows.append({"identity": f"p{person}", "photo": str(photo), "condition": "clean",
                         "gender": "male" if person < 3 else "female"})  # fmt: skip
            vectors.append(centre + rng.normal(size=8))
    table, vectors = pd.DataFrame(rows), np.array(vectors, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = {row["metric"]: row["value"] for row in protocols.cross_photo(table, vectors, resamples=10)}
    scores = -np.sqrt(np.maximum(2 - 2 * np.round(vectors @ vectors.T, 6), 0))
    who, sex = table.identity.to_numpy(), table.gender.to_numpy()
    off = ~np.eye(len(table), dtype=bool)
    genuine = scores[(who[:, None] == who) & off]
    for name, pairs in (("", who[:, None] != who), (" same gender", (who[:, None] != who) & (sex[:, None] == sex))):
        passing = max(
            share for t in genuine if (share := (genuine >= t).mean()) and (scores[pairs] >= t).mean() <= 1e-3
        )
        assert found[f"tar@far=1e-3{name}"] == pytest.approx(passing), name
