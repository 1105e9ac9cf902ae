"""Routes are functions that can be called alone, with the study that they are to serve."""

from dataclasses import replace

import pytest
from fastapi import HTTPException

from convergan.study.collect.entry import Entry
from convergan.study.web import admin, participant, trials
from convergan.study.web.site import open_site
from studies import QUICK


def test_a_route_serves_the_study_that_it_is_given(make_study):
    for title in ("One", "Two"):
        study = make_study(replace(QUICK, title=title))
        site = open_site(study.database, study.keys)
        page = participant.consent(site, Entry("preview", "x"))
        assert page.status_code == 200 and f"<h1>{title}</h1>" in page.body.decode()
        assert participant.consent(site, None).headers["location"] == "/"
        assert trials.image(site, "nowhere", "nobody").status_code == 404


def test_a_route_changes_the_study_that_it_is_given(make_study):
    sites = [open_site(study.database, study.keys) for study in (make_study(), make_study())]
    assert admin.change_quota(sites[1], 7).headers["location"] == "/admin"
    pages = [admin.overview(site, "cookie").body.decode() for site in sites]
    assert ['max="100000" value="7"' in page for page in pages] == [False, True]
    with pytest.raises(HTTPException, match="There is no participant"):
        admin.remove(sites[0], "X")
