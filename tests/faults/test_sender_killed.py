"""SIGKILL of the worker that sends webhooks, before a receiver has answered: nothing is lost, ids stay."""

from collections import Counter

from sqlalchemy import select

from leaktrace.records.database import transaction
from leaktrace.records.events import announce
from leaktrace.records.keys import Caller
from leaktrace.records.webhook_models import WebhookDelivery
from leaktrace.records.webhooks import create_webhook, new_secret
from tests.faults.conftest import Processes
from tests.receiver import Receiver, receive
from tests.submissions import Submissions, wait_until

EVENTS = 12
SENDING = {"LEAKTRACE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "LEAKTRACE_WEBHOOK_TIMEOUT_SECONDS": "3"}


def announce_some(submissions: Submissions, url: str) -> str:
    """A webhook that has some events to be told of; gives its secret."""
    caller = Caller(submissions.tenant_id, "test", frozenset())
    with transaction(submissions.engine) as session:
        made = create_webhook(
            session, caller, url=url, events=["batch.finished"], description="", secret=new_secret(), most=20
        )
        secret = made.secret
    for place in range(EVENTS):
        with transaction(submissions.engine) as session:
            announce(session, submissions.tenant_id, "batch.finished", {"place": place})
    return secret


def states(submissions: Submissions) -> Counter[str]:
    with transaction(submissions.engine) as session:
        return Counter(session.scalars(select(WebhookDelivery.state)))


def test_messages_survive_sender_kill(processes: Processes, submissions: Submissions) -> None:
    with receive(Receiver(wait_seconds=1.0)) as receiver:
        secret = announce_some(submissions, receiver.url)
        processes.beat()
        sending = processes.worker(**SENDING)
        wait_until(lambda: len(receiver.messages) == 3)
        sending.kill()
        receiver.wait_seconds = 0.0
        processes.worker(**SENDING)
        wait_until(lambda: states(submissions) == {"delivered": EVENTS})
        told = [message.verified(secret)["data"]["place"] for message in receiver.messages]
        ids = [message.id for message in receiver.messages]
    # The third was under way: it was sent again, as the same message; all others came once and in order.
    assert told == [0, 1, 2, *range(2, EVENTS)]
    assert (ids[2] == ids[3], len(set(ids))) == (True, EVENTS)
