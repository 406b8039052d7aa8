from __future__ import annotations

from django.urls import path

from elicitation.flow import api, pages

page_urls = [
    path("s/<slug:slug>/", pages.entry, name="study_entry"),
    path("s/<slug:slug>/problem/", pages.problem, name="study_problem"),
    path("p/<str:link>/", pages.participation, name="participation"),
    path("p/<str:link>/device/", pages.device, name="participation_device"),
    path("p/<str:link>/survey/", pages.survey, name="participation_survey"),
    path("p/<str:link>/withdraw/", pages.withdrawal, name="participation_withdraw"),
    path("p/<str:link>/problem/", pages.problem, name="participation_problem"),
]
api_urls = [
    path("participation/plan/", api.PlanView.as_view(), name="participation_plan"),
    path("participation/images/<int:image_id>/", api.ImageView.as_view(), name="participation_image"),
    path(
        "participation/examples/<int:way>/<int:number>/<int:order>/",
        api.ExampleView.as_view(),
        name="participation_example",
    ),
    path("participation/responses/", api.ResponsesView.as_view(), name="participation_responses"),
    path("participation/events/", api.EventsView.as_view(), name="participation_events"),
    path("participation/complete/", api.CompleteView.as_view(), name="participation_complete"),
]
