"""The numbers of a study while it runs, and how far its answers have come, for programs."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elicitation.monitoring.coverage import Board
from elicitation.monitoring.monitor import WATCHED, Monitor, monitor_of
from elicitation.studies.api import study_at
from elicitation.studies.models import Mode


class LevelsField(serializers.DictField):
    """Factor → level."""

    child = serializers.CharField()


class AskedSerializer(serializers.Serializer[Any]):
    """What is asked for."""

    mode = serializers.ChoiceField(choices=[(mode.value, mode.label) for mode in WATCHED], default=Mode.LIVE)
    levels = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=10_000,
        help_text="the index of one of `combinations`, whose cells alone are told",
    )


class PlaceSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    meaning = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="mode → how many people")


class SlotsSerializer(serializers.Serializer[Any]):
    free = serializers.IntegerField()
    held = serializers.IntegerField()
    filled = serializers.IntegerField()
    lapsed = serializers.IntegerField(help_text="of those held: whoever comes next gets the place")
    total = serializers.IntegerField()


class StopStateSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(source="rule.rule")
    width = serializers.FloatField(source="rule.width", help_text="that the rule `interval` asks for, 0–1")
    value = serializers.FloatField(allow_null=True, help_text="the share of full places, or the mean width")
    reached = serializers.BooleanField()


class ForecastSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField(help_text="counted answers in the last `hours`")
    hours = serializers.FloatField()
    done_at = serializers.DateTimeField(help_text="when the rest is there at this rate")


class CostsSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    n_paid = serializers.IntegerField(help_text="people who finished")
    n_to_come = serializers.IntegerField(help_text="places that are to be filled")
    so_far_e2 = serializers.IntegerField(
        help_text="in hundredths, with the fee; a bonus counts with its most"
    )
    in_all_e2 = serializers.IntegerField()
    fee_share = serializers.FloatField(help_text="the recruiter's, of what is paid")


class HourlyRateSerializer(serializers.Serializer[Any]):
    percentile = serializers.IntegerField()
    minutes = serializers.FloatField(help_text="that so many percent of those who completed took at most")
    rate_e2 = serializers.IntegerField(help_text="the reward an hour, in hundredths, without bonus")
    too_low = serializers.BooleanField(help_text="lower than the recruiter asks for")


class FlagCountSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    n = serializers.IntegerField(help_text="people who have the flag")
    n_left_out = serializers.IntegerField(help_text="of them, whom it leaves out of labels")


class SpreadSerializer(serializers.Serializer[Any]):
    mean = serializers.FloatField()
    median = serializers.FloatField()
    ninetieth = serializers.FloatField()


class WidthsSerializer(serializers.Serializer[Any]):
    levels = serializers.ListField(child=LevelsField(), help_text="that the condition stands for")
    n_units = serializers.IntegerField(help_text="that have an answer")
    n_answers = serializers.IntegerField()
    raw = SpreadSerializer(allow_null=True, help_text="of the 95% intervals of plain means, 0–1")
    shrunk = SpreadSerializer(allow_null=True, help_text="of those of shrunk labels")


class CellSerializer(serializers.Serializer[Any]):
    first = serializers.CharField(help_text="class of the pair")
    second = serializers.CharField()
    lambda_e4 = serializers.IntegerField(allow_null=True, help_text="null where a unit is a pair")
    n_units = serializers.IntegerField()
    n_full = serializers.IntegerField(help_text="units that have the answers that are wanted of each")
    mean = serializers.FloatField(help_text="answers a unit")
    fewest = serializers.IntegerField(help_text="of any unit")


class CoverageSerializer(serializers.Serializer[Any]):
    n_answers = serializers.IntegerField(help_text="that count")
    wanted = serializers.IntegerField()
    missing = serializers.IntegerField()
    n_without_place = serializers.IntegerField(help_text="of those missing, that no place can bring")
    combinations = serializers.ListField(
        child=LevelsField(), help_text="of levels, in the order of `levels=`"
    )
    target = serializers.IntegerField(help_text="answers that make a unit of `cells` full")
    cells = CellSerializer(many=True, help_text="the units by class pair and λ")
    widths = WidthsSerializer(many=True, help_text="of the labels' intervals, by condition")


class CountSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    people = serializers.IntegerField(help_text="who needed, or failed, so many")


class MonitorSerializer(serializers.Serializer[Any]):
    mode = serializers.CharField()
    people = PlaceSerializer(many=True, help_text="where everybody is on the way, in every mode")
    n_over_quota = serializers.IntegerField()
    n_invalid = serializers.IntegerField(help_text="people marked as not to count")
    n_left_out = serializers.IntegerField(help_text="people whom rules leave out of labels")
    n_problems = serializers.IntegerField(help_text="reported and not handled")
    n_perhaps_cannot_tell = serializers.IntegerField()
    slots = SlotsSerializer()
    stop = StopStateSerializer()
    forecast = ForecastSerializer(allow_null=True, help_text="null where no answer came in the last week")
    costs = CostsSerializer(many=True)
    rates = HourlyRateSerializer(many=True)
    minimum_e2 = serializers.IntegerField(allow_null=True, help_text="an hour, that the recruiter asks for")
    currency = serializers.CharField(help_text="of `rates` and `minimum_e2`")
    flags = FlagCountSerializer(many=True)
    rounds = CountSerializer(many=True, help_text="of the comprehension check")
    checks = CountSerializer(many=True, help_text="attention checks failed")
    last_answer = serializers.DateTimeField(allow_null=True)
    is_quiet = serializers.BooleanField(help_text="open, and without an answer for three hours")
    coverage = CoverageSerializer()


class StudyMonitor(APIView):
    """Who is where, what is there and what is missing, in one mode; of some levels where they are asked for."""

    @extend_schema(parameters=[AskedSerializer], responses=MonitorSerializer)
    def get(self, request: Request, slug: str) -> Response:
        study = study_at(request, slug)
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        numbers = monitor_of(study, asked.validated_data["mode"])
        return Response(MonitorSerializer(_told(numbers, asked.validated_data.get("levels"))).data)


def _told(numbers: Monitor, chosen: int | None) -> dict[str, Any]:
    """The numbers as they are told: the board as cells, counts with names.

    Raises:
        ValidationError: there is no combination of levels number `chosen`.
    """
    combinations = numbers.coverage.combinations()
    if chosen is not None and chosen >= len(combinations):
        message = f"There are {len(combinations)} combinations of levels, counted from 0."
        raise serializers.ValidationError({"levels": [message]})
    board = numbers.coverage.board(None if chosen is None else combinations[chosen])
    coverage = {
        **{name: getattr(numbers.coverage, name) for name in ("n_answers", "wanted", "missing", "widths")},
        "n_without_place": numbers.n_without_place,
        "combinations": combinations,
        "target": board.target,
        "cells": _cells(board),
    }
    counted = {
        name: [{"n": n, "people": people} for n, people in getattr(numbers, name)]
        for name in ("rounds", "checks")
    }
    return {**vars(numbers), **counted, "coverage": coverage}


def _cells(board: Board) -> list[dict[str, Any]]:
    return [
        {"first": row.first, "second": row.second, "lambda_e4": lambda_e4, **vars(cell)}
        for row in board.rows
        for lambda_e4, cell in row.named
        if cell
    ]


api_urls = [path("studies/<slug:slug>/monitor/", StudyMonitor.as_view(), name="api_monitor")]
