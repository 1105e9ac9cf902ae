"""A page whose requests are lost, slow, late or refused."""

from playwright.sync_api import Route
from sqlalchemy import select

from convergan.study.schema import Participant, Trial
from studies import Served
from study.web.person import ANSWER, OpenPage, Person, assert_complete, by_key


def test_a_lost_connection_loses_nothing(served: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    lost = {"before": 0, "after": 0, "image": 0}

    def drop_votes(route: Route) -> None:
        if lost["before"] < 2:
            lost["before"] += 1
            route.abort()
        elif lost["after"] < 2:
            # It arrives, and its answer does not.
            lost["after"] += 1
            route.fetch()
            route.abort()
        else:
            route.continue_()

    def cut_images(route: Route) -> None:
        lost["image"] += 1
        if lost["image"] == 1:
            route.fulfill(body=route.fetch().body()[:100], content_type="image/png")
        elif lost["image"] == 2:
            route.fulfill(status=503)
        else:
            route.continue_()

    person.page.route("**/api/votes", drop_votes)
    person.page.route("**/image/*", cut_images)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    assert person.step() == "real"
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#trouble:visible")
    assert "The connection is lost" in person.page.inner_text("#trouble")
    person.page.wait_for_selector("#verdict:visible")
    assert person.page.locator("#trouble").is_hidden()
    person.go_on_to_the_end()
    assert lost["before"] == lost["after"] == 2
    assert_complete(served)


def test_a_session_that_is_over_says_so(served: Served, open_page: OpenPage) -> None:
    person = Person(open_page(), by_key)
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    with served.study.database.writing() as session:
        session.scalars(select(Participant)).one().expires_at = 1
    person.page.keyboard.press("f")
    person.page.wait_for_selector("#over:visible")
    assert not person.page.locator(ANSWER).count()


def test_the_next_images_are_there_before_they_are_needed(
    served: Served, open_page: OpenPage
) -> None:
    person = Person(open_page(), by_key)
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.arrive(served)
    person.page.get_by_role("button", name="I agree").click()
    person.act(person.step() or "")
    person.step()
    person.page.wait_for_load_state("networkidle")
    first = [url for url in asked if "/image/" in url]
    # The current one and those of the next three tasks; a check has none.
    with served.study.database.reading() as session:
        near = session.scalars(
            select(Trial.address).where(Trial.position <= 4, Trial.image_id.is_not(None))
        ).all()  # fmt: skip
    assert sorted(url.rpartition("/")[2] for url in first) == sorted(near)
    person.go_on_to_the_end()
    images = [url for url in asked if "/image/" in url]
    assert len(images) == len(set(images)) == 6
