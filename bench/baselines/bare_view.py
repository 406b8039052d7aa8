"""Baseline for saving an answer: a bare REST view behind hilmix's own server, middleware and signed tokens.

It reads the participation, validates with the same serializer and inserts one row in one statement, with the
same durability. It omits: checking the payload, the same id twice, the first answer winning, a study or
participation that has ended, the slot's lease, the throttle, and the counts in the reply.
"""

from __future__ import annotations

import json

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elicitation.flow.access import HasWindow, ParticipationAuthentication
from elicitation.flow.api import AnswersSerializer

INSERT = """
    insert into elicitation_response
        (id, trial_id, payload, payload_sha256, rt_ms, received_at, epoch, attempt)
    select %s, id, %s, '', %s, datetime('now'), %s, %s
    from elicitation_trial where participation_id = %s and position = %s
"""


class BareView(APIView):
    authentication_classes = [ParticipationAuthentication]
    permission_classes = [HasWindow]

    def post(self, request: Request) -> Response:
        sent = AnswersSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        (answer,) = sent.validated_data["responses"]
        said = [answer["id"].hex, json.dumps(answer["payload"]), answer["rt_ms"]]
        place = [request.auth.participation.pk, answer["position"]]
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [*said, sent.validated_data["epoch"], answer["attempt"], *place])
        return Response({"results": [{"id": str(answer["id"]), "status": "created", "message": ""}]})
