"""Long work for programs: what was queued, how far it is, and how a call answers that queues something."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django_filters import ChoiceFilter
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, only_study_of, require
from hilmix.errors import NotFound
from hilmix.jobs import services
from hilmix.jobs.models import MAX_PRIORITY, Job, JobLine, JobState, Pause, Queue
from hilmix.pagination import Filters, Since

LINES_SHOWN = 200

Result = Callable[
    [str], str | None
]  # the object id of a job that is done → where its result is, if it has one
_results: dict[str, Result] = {}


def result_of(kind: str) -> Callable[[Result], Result]:
    """Register where to ask for what came of jobs of `kind`."""

    def register(result: Result) -> Result:
        _results[kind] = result
        return result

    return register


class JobSerializer(serializers.ModelSerializer[Job]):
    url = serializers.SerializerMethodField(help_text="where to ask how far it is")
    is_over = serializers.BooleanField(read_only=True)

    class Meta:
        model = Job
        fields = [
            *("id", "url", "kind", "label", "state", "is_over", "queue", "attempt", "cancel_requested"),
            *("priority", "not_before"),
            *("progress_done", "progress_total", "progress_text", "error", "created_at", "finished_at"),
        ]
        read_only_fields = fields

    def get_url(self, job: Job) -> str:
        return job_url(self.context["request"], job)


class JobLineSerializer(serializers.ModelSerializer[JobLine]):
    class Meta:
        model = JobLine
        fields = ["at", "text"]
        read_only_fields = fields


class JobDetailSerializer(JobSerializer):
    result = serializers.SerializerMethodField(help_text="where to ask for what came of it, once it is done")
    lines = serializers.SerializerMethodField(help_text=f"the last {LINES_SHOWN} of its log, oldest first")

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "result", "lines"]
        read_only_fields = fields

    def get_result(self, job: Job) -> str | None:
        result = _results.get(job.kind)
        address = result(job.object_id) if result and job.state == JobState.DONE else None
        return None if address is None else self.context["request"].build_absolute_uri(address)

    @extend_schema_field(JobLineSerializer(many=True))
    def get_lines(self, job: Job) -> Any:
        return JobLineSerializer(job.lines.order_by("-pk")[:LINES_SHOWN][::-1], many=True).data


class JobFilters(Filters):
    state = ChoiceFilter(choices=JobState.choices)
    since = Since("created_at", "finished_at")


class JobList(generics.ListAPIView[Job]):
    """The jobs that you started, newest first; an admin's are everybody's."""

    serializer_class = JobSerializer
    filterset_class = JobFilters
    order = ("-created_at", "-pk")
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        return _visible(self.request)


class JobDetail(generics.RetrieveAPIView[Job]):
    """One job, with the end of its log."""

    serializer_class = JobDetailSerializer
    lookup_url_kwarg = "job_id"
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        return _visible(self.request)


class JobCancel(APIView):
    """Ask a job to stop."""

    @extend_schema(request=None, responses={202: JobSerializer})
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        assert isinstance(request.user, User)
        job = get_object_or_404(_visible(request), pk=job_id)
        services.request_cancel(job=job, actor=request.user)
        job.refresh_from_db()
        return accepted(request, job)


class OrderSerializer(serializers.Serializer[Any]):
    priority = serializers.IntegerField(
        min_value=-MAX_PRIORITY,
        max_value=MAX_PRIORITY,
        help_text="of the jobs that wait, the highest goes first; 0 is usual",
    )
    not_before = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="no worker begins it earlier; null: at once; left out: as it is",
    )


class JobReorder(APIView):
    """Say anew how soon a waiting job begins."""

    @extend_schema(request=OrderSerializer, responses=JobSerializer)
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        assert isinstance(request.user, User)
        job = get_object_or_404(_visible(request), pk=job_id)
        order = OrderSerializer(data=request.data)
        order.is_valid(raise_exception=True)
        services.reorder_job(
            job=job, actor=request.user, **{"not_before": job.not_before, **order.validated_data}
        )
        job.refresh_from_db()
        return Response(JobSerializer(job, context={"request": request}).data)


class QueueSerializer(serializers.Serializer[Any]):
    queue = serializers.ChoiceField(choices=Queue.choices)
    is_paused = serializers.BooleanField(help_text="whether nothing more begins in it; what runs goes on")
    has_worker = serializers.BooleanField(help_text="whether a worker of it is alive")
    n_waiting = serializers.IntegerField(help_text="of the jobs that you may see")
    n_running = serializers.IntegerField(help_text="of the jobs that you may see")


class QueueList(APIView):
    """The queues that long work waits in."""

    @extend_schema(responses=QueueSerializer(many=True))
    def get(self, request: Request) -> Response:
        require(request.user, Action.VIEW_OWN_JOBS, only_study_of(request.user))
        return Response(QueueSerializer([_queue_as_data(request, queue) for queue in Queue], many=True).data)


class QueuePause(APIView):
    """Let nothing more begin in a queue; what runs goes on. For admins."""

    @extend_schema(request=None, responses=QueueSerializer)
    def post(self, request: Request, queue: str) -> Response:
        return _steered(request, queue, services.pause_queue)


class QueueResume(APIView):
    """Let the jobs of a paused queue begin again. For admins."""

    @extend_schema(request=None, responses=QueueSerializer)
    def post(self, request: Request, queue: str) -> Response:
        return _steered(request, queue, services.resume_queue)


def _steered(request: Request, queue: str, act: Callable[..., None]) -> Response:
    require(request.user, Action.PAUSE_QUEUE)
    if queue not in Queue.values:
        raise NotFound("There is no such queue.")
    act(queue=queue, actor=request.user)
    return Response(QueueSerializer(_queue_as_data(request, Queue(queue))).data)


def _queue_as_data(request: Request, queue: Queue) -> dict[str, Any]:
    jobs = _visible(request).filter(queue=queue)
    return {
        "queue": queue.value,
        "is_paused": Pause.objects.filter(queue=queue).exists(),
        "has_worker": services.workers_alive(queue),
        "n_waiting": jobs.filter(state=JobState.QUEUED).count(),
        "n_running": jobs.filter(state=JobState.RUNNING).count(),
    }


def accepted(request: Request, job: Job) -> Response:
    """The answer to a call that queued `job`: 202, and where to ask how far it is."""
    said = JobSerializer(job, context={"request": request}).data
    return Response(said, status=202, headers={"Location": job_url(request, job)})


def job_url(request: Request, job: Job) -> str:
    return request.build_absolute_uri(reverse("api_job", args=[job.pk]))


def _visible(request: Request) -> QuerySet[Job]:
    assert isinstance(request.user, User)
    return Job.objects.visible_to(request.user)


api_urls = [
    path("jobs/", JobList.as_view(), name="api_jobs"),
    path("jobs/<uuid:job_id>/", JobDetail.as_view(), name="api_job"),
    path("jobs/<uuid:job_id>/cancel/", JobCancel.as_view(), name="api_job_cancel"),
    path("jobs/<uuid:job_id>/reorder/", JobReorder.as_view(), name="api_job_reorder"),
    path("queues/", QueueList.as_view(), name="api_queues"),
    path("queues/<str:queue>/pause/", QueuePause.as_view(), name="api_queue_pause"),
    path("queues/<str:queue>/resume/", QueueResume.as_view(), name="api_queue_resume"),
]
