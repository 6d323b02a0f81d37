"""State and catalog on a PostgreSQL that speaks TLS only, by SCRAM or by a client's certificate."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from onefold.errors import Refused
from onefold.runtime import doctor
from onefold.settings import Settings
from onefold.storage.place import Place
from onefold.storage.postgres import driver, migration
from onefold.storage.postgres.driver import Address
from onefold.storage.postgres.state import PostgresState
from onefold.testing.conformance.state import OpenState, StateConformance
from onefold.testing.servers.certificates import Authority
from onefold.testing.servers.kafka_security import Security
from onefold.testing.servers.postgres import BEARER, PostgresServer
from tests.services.conftest import SCHEMA

pytestmark = pytest.mark.services


@pytest.fixture
def authority(security: Security) -> Authority:
    """Vouches for the server and for BEARER."""
    return security.authority


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Vouches for nobody here."""
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


@pytest.fixture(scope="module")
def template(secured_postgres: PostgresServer) -> str:
    """The name of a database that has all tables and no rows."""
    url = secured_postgres.create_database()
    migration.migrate(url, SCHEMA)
    return url.rpartition("/")[2]


@pytest.fixture
def url(secured_postgres: PostgresServer, template: str, authority: Authority) -> Iterator[str]:
    """A database of the test's own, with its password, verified as far as TLS can."""
    plain = secured_postgres.create_database(template)
    yield f"{plain.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert={authority.file}"
    secured_postgres.drop_database(plain)


def parted(url: str) -> tuple[str, str]:
    """The URL without its password, and that."""
    user, _, rest = url.partition("//")[2].partition(":")
    password, _, where = rest.partition("@")
    return f"postgresql://{user}@{where}", password


class TestSecuredState(StateConformance):
    """The suite of every state, over a connection that is encrypted and verified."""

    @pytest.fixture
    def open_state(self, url: str) -> Iterator[OpenState]:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(PostgresState(url)))


def test_a_password_lies_in_a_file(url: str, tmp_path: Path) -> None:
    """The URL has none, every engine finds it, the connection is TLS, and nothing that is printed shows it."""
    bare, password = parted(url)
    file = tmp_path / "password"
    file.write_text(password + "\n")
    settings = Settings(data=tmp_path / "data", database=bare, database_password_file=str(file), history=False)
    place = Place.open(settings)
    with closing(place.catalog()) as catalog, closing(place.state()) as state, closing(place.deliveries()) as book:
        catalog.create_source("site")
        assert state.counts() == {"profiles": 0}
        assert book.counts() == {}
    with closing(driver.connect(Address(driver.with_password(bare, password), SCHEMA))) as connection:
        row = connection.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row == (True, "TLSv1.3")
    shown = repr((settings, place.name, doctor.examine(settings), Address(url, SCHEMA)))
    assert password not in shown


def test_a_certificate_lets_in(url: str, secured_postgres: PostgresServer, authority: Authority) -> None:
    """Who has a certificate of the user's name needs no password."""
    with psycopg.connect(secured_postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {BEARER} LOGIN".encode())
        connection.execute(f"GRANT CREATE ON DATABASE {url.partition('?')[0].rpartition('/')[2]} TO {BEARER}".encode())
    pair = authority.issue(BEARER)
    bare, _ = parted(url)
    mine = f"{bare.replace('onefold@', BEARER + '@')}&sslcert={pair.certificate}&sslkey={pair.key}"
    with closing(PostgresState(mine, "bearers")) as state:
        assert state.counts() == {"profiles": 0}
    with pytest.raises(Refused, match="add sslcert and sslkey"):
        driver.connect(Address(bare.replace("onefold@", BEARER + "@"), SCHEMA))
    with closing(psycopg.connect(secured_postgres.url, dbname=url.partition("?")[0].rpartition("/")[2])) as connection:
        connection.execute(f"DROP OWNED BY {BEARER} CASCADE".encode())
        connection.execute(f"DROP ROLE {BEARER}".encode())
        connection.commit()


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("password", "check user and password"),
        ("no password", "give `database_password_file`"),
        ("authority", "does not vouch for this server"),
        ("host", "name the server in `database` as its certificate does"),
        ("no TLS", "add sslmode=verify-full"),
        ("no such file", "name the server's authority in"),
        ("certificate", "does not know the authority"),
        ("key", "sslkey in `database` must be"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    url: str, authority: Authority, strangers: Authority, case: str, told: str
) -> None:
    """It ends at once with `Refused`, which says what to change, and shows no password."""
    bare, password = parted(url)
    known, unknown = str(authority.file), strangers.issue("onefold")
    pair = f"&sslcert={unknown.certificate}&sslkey={unknown.key}"
    chosen = {
        "password": driver.with_password(bare, "wr0ng"),
        "no password": bare,
        "authority": url.replace(known, str(strangers.file)),
        "host": url.replace("localhost", "127.0.0.1"),
        "no TLS": url.replace("verify-full", "disable"),
        "no such file": url.replace(known, "/nonexistent/authority.pem"),
        "certificate": url + pair,
        "key": url + pair.replace("onefold.key", "strangers.key"),
    }[case]
    with pytest.raises(Refused) as caught:
        driver.connect(Address(chosen, SCHEMA))
    message = str(caught.value)
    assert told in message
    assert password not in message
    assert "wr0ng" not in message
