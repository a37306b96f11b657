"""A batch's life over HTTP, on real servers."""

import httpx
from sqlalchemy import Engine

from tests.integration.api.service import attribute_batch, create_batch, picture, register_model, upload


def test_whole_life_completes(client: httpx.Client, engine: Engine) -> None:
    register_model(engine)
    batch_id = create_batch(client, name="life", metadata={"run": 1})
    upload(client, batch_id, {f"{n}.jpg": picture(n) for n in range(3)})
    assert client.post(f"/v1/batches/{batch_id}/close").status_code == 202
    attribute_batch(engine, batch_id)
    seen = client.get(f"/v1/batches/{batch_id}").json()
    assert (seen["state"], seen["counts"]["succeeded"]) == ("completed", 3)
