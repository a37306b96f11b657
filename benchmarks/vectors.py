"""How fast and how complete the search for the nearest images is, against an exact search, in a real Postgres.

    python -m benchmarks.vectors [--number 100000] [--minutes 25] [--kinds halfvec,vector] [--kept 128]

The embeddings are drawn from the class means and covariances of the starter model's known embeddings, not from one
ball; `--kept` puts that many numbers behind each that have no say. Three tenants own 1 %, 10 % and 89 % of them; each
is asked for ten neighbours by the product's own query.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Engine, create_engine, text

from deploy.embedded.data_directory import DataDirectory
from deploy.embedded.postgres import Postgres
from deploy.embedded.servers import remove_data
from leaktrace.records.database import transaction
from leaktrace.records.embedding_index import ensure_embedding_index, index_name
from leaktrace.records.nearest import nearest_rows, prepare_scan
from leaktrace.science.density import OpenSetDensity
from migrations.run import upgrade

STARTER = Path(__file__).parents[1] / "leaktrace/weights/starter/density.safetensors"
MODEL = "benchmark"
SHARES = {"1 %": 0.01, "10 %": 0.10, "89 %": 0.89}
NEIGHBOURS = 10
QUERIES = 200
EXACT_QUERIES = 10
# A cache as a server of its own would have, room to build in memory, and fewer checkpoints while it is filled.
TUNING = {
    "shared_buffers": "4GB",
    "maintenance_work_mem": "4GB",
    "max_wal_size": "8GB",
    "synchronous_commit": "off",
}
CONSTANTS = (MODEL, "density", "generator", "sdxl-1.0", 0.5, 0.01, 0.05, "benchmark", "{}", "{}", "{}", "{}")
COLUMNS = (
    "tenant_id, image_id, model_version, density_version, verdict, generator, p_value, smallest_p, alpha, reason, "
    "probabilities, p_values, explanation, timings, embedding"
)

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """What was stored, as the exact search in memory needs it."""

    embeddings: Embeddings
    judged_dim: int
    image_ids: list[UUID]
    owners: NDArray[np.int64]
    tenants: list[UUID]


def main() -> None:
    arguments = _arguments()
    deadline = time.monotonic() + 60 * arguments.minutes
    random = np.random.default_rng(0)
    draw = mixture()
    judged, asked = draw(arguments.number, random), draw(QUERIES, random)
    embeddings, queries = (_with_kept(points, arguments.kept, random) for points in (judged, asked))
    print(f"{arguments.number:,} embeddings of {embeddings.shape[1]} dimensions, {arguments.kept} of them kept, "
          f"{QUERIES} queries, {NEIGHBOURS} neighbours", flush=True)  # fmt: skip
    with database() as (engine, admin_url):
        table = fill(admin_url, embeddings, random, judged_dim=judged.shape[1])
        truth = exact_answers(table, queries)
        print(f"{'search':10}{'tenant':>8}{'recall@10':>11}{'p50 ms':>9}{'p95 ms':>9}", flush=True)
        measure(engine, table, queries[:EXACT_QUERIES], truth, name="exact", exact=True)
        for kind in arguments.kinds.split(","):
            if time.monotonic() > deadline:
                print(f"{kind}: left out, the time is up", flush=True)
                break
            build(engine, admin_url, kind, table)
            measure(engine, table, queries, truth, name=kind, exact=kind == "vector")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=100_000, help="embeddings")
    parser.add_argument("--minutes", type=float, default=25, help="no index is begun later than this")
    parser.add_argument("--kinds", default="halfvec,vector", help="index kinds, in this order")
    parser.add_argument("--kept", type=int, default=0, help="numbers of each embedding that have no say")
    return parser.parse_args()


def mixture() -> Callable[[int, np.random.Generator], Embeddings]:
    """Draws judged numbers (N, J) from one normal distribution a class of the starter model's known embeddings."""
    density = OpenSetDensity.from_bytes(STARTER.read_bytes())
    judged = density.judged(density.embeddings_)
    own = [judged[density.labels_ == label] for label in range(len(density.classes_))]
    means = np.stack([points.mean(axis=0) for points in own])
    roots = np.stack([_root(points) for points in own])
    shares = np.array([len(points) for points in own]) / len(density.embeddings_)

    def draw(number: int, random: np.random.Generator) -> Embeddings:
        labels = random.choice(len(own), size=number, p=shares)
        noise = random.standard_normal((number, means.shape[1]), dtype=np.float32)
        drawn = np.empty_like(noise)
        for label in range(len(own)):
            rows = labels == label
            drawn[rows] = means[label] + noise[rows] @ roots[label].astype(np.float32)
        return drawn

    return draw


def _root(points: Embeddings) -> NDArray[np.float64]:
    """R with R' R = the covariance of points (N, D), which may be of lower rank than D."""
    variances, directions = np.linalg.eigh(np.cov(points.astype(np.float64), rowvar=False))
    root: NDArray[np.float64] = (directions * np.sqrt(np.maximum(variances, 0))).T
    return root


def _with_kept(points: Embeddings, kept: int, random: np.random.Generator) -> Embeddings:
    return np.hstack([points, random.standard_normal((len(points), kept), dtype=np.float32)])


@contextmanager
def database() -> Iterator[tuple[Engine, str]]:
    """A migrated Postgres in a temporary directory, removed at the end; and its superuser's address."""
    with tempfile.TemporaryDirectory(prefix="leaktrace-vectors-") as directory:
        data = DataDirectory(Path(directory) / "data")
        data.acquire()
        postgres = Postgres(data)
        try:
            postgres.start()
            with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
                for name, value in TUNING.items():
                    admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            postgres.restart()
            upgrade(postgres.url)
            engine = create_engine(postgres.url)
            yield engine, postgres.admin_url.removesuffix("/postgres") + "/leaktrace"
            engine.dispose()
        finally:
            postgres.stop()
            data.release()
            remove_data(data.path)


def fill(admin_url: str, embeddings: Embeddings, random: np.random.Generator, *, judged_dim: int) -> Table:
    """Store one attribution an embedding, spread over the three tenants by their shares."""
    owners = random.choice(len(SHARES), size=len(embeddings), p=list(SHARES.values()))
    images, tenants = [uuid4() for _ in embeddings], [uuid4() for _ in SHARES]
    table = Table(embeddings, judged_dim, images, owners, tenants)
    started = time.monotonic()
    with psycopg.connect(admin_url) as connection:
        connection.execute("SET session_replication_role = replica")  # no image is needed beside the rows
        with connection.cursor().copy(f"COPY attributions ({COLUMNS}) FROM STDIN".encode()) as copy:
            for row, vector in enumerate(embeddings):
                values = ",".join(map(repr, vector.tolist()))
                copy.write_row((table.tenants[owners[row]], table.image_ids[row], *CONSTANTS, f"[{values}]"))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE attributions")
        size = connection.execute("SELECT pg_size_pretty(pg_table_size('attributions'))").fetchone()
    print(f"stored in {time.monotonic() - started:.0f} s, table {size[0] if size else '?'}", flush=True)
    return table


def exact_answers(table: Table, queries: Embeddings) -> list[list[set[UUID]]]:
    """Of each tenant and query, the nearest images by a search in memory."""
    answers = []
    for tenant in range(len(SHARES)):
        rows = np.flatnonzero(table.owners == tenant)
        own = table.embeddings[rows, : table.judged_dim]
        lengths = (own**2).sum(axis=1)
        answers.append(
            [
                {
                    table.image_ids[rows[i]]
                    for i in np.argpartition(lengths - 2 * own @ query, NEIGHBOURS)[:NEIGHBOURS]
                }
                for query in queries[:, : table.judged_dim]
            ]
        )
    return answers


def build(engine: Engine, admin_url: str, kind: str, table: Table) -> None:
    """Build the product's index, or the one in full precision beside it, and say what it took."""
    name = index_name(MODEL) if kind == "halfvec" else "ix_benchmark_vector"
    dimensions, judged = table.embeddings.shape[1], table.judged_dim
    started = time.monotonic()
    if kind == "halfvec":
        ensure_embedding_index(engine, MODEL, embedding_dim=dimensions, judged_dim=judged)
    else:
        part = "embedding" if judged == dimensions else f"subvector(embedding, 1, {judged})"
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(
                f"CREATE INDEX {name} ON attributions USING hnsw (({part}::vector({judged})) "
                f"vector_l2_ops) WHERE model_version = '{MODEL}'".encode()
            )
    seconds = time.monotonic() - started
    with transaction(engine) as session:
        size = session.scalar(text("SELECT pg_relation_size(:name)"), {"name": name}) or 0
    print(f"{kind} index: built in {seconds:.0f} s, {size / 2**20:,.0f} MiB", flush=True)


def measure(
    engine: Engine, table: Table, queries: Embeddings, truth: list[list[set[UUID]]], *, name: str, exact: bool
) -> None:
    """Print recall and latency of each tenant's searches, after one round that warms the caches."""
    for tenant, share in enumerate(SHARES):
        times, found = [], 0
        for number, query in enumerate([*queries, *queries]):
            statement = nearest_rows(
                table.tenants[tenant],
                embedding=query,
                judged_dim=table.judged_dim,
                model_version=MODEL,
                exact=exact,
            )
            with transaction(engine) as session:
                prepare_scan(session)
                started = time.perf_counter()
                rows = session.execute(statement.limit(NEIGHBOURS)).all()
                seconds = time.perf_counter() - started
            if number >= len(queries):
                times.append(1000 * seconds)
                found += len({row[0] for row in rows} & truth[tenant][number - len(queries)])
        recall = found / NEIGHBOURS / len(queries)
        middle, slow = np.percentile(times, [50, 95])
        print(f"{name:10}{share:>8}{recall:>11.4f}{middle:>9.1f}{slow:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
