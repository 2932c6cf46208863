"""A shop that keeps its orders in PostgreSQL and its warehouse in MariaDB, and knows no metrics."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psycopg
import pymysql

from stack.path import StreamPath
from stack.services import MariaDb, Postgres

SHOP = """
CREATE TABLE IF NOT EXISTS orders (
  order_id text PRIMARY KEY, amount numeric(12,2) NOT NULL, currency text NOT NULL, user_id text,
  country text, channel text, product_id text, quantity int, price numeric(12,2),
  status text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS payments (
  payment_id text PRIMARY KEY, order_id text, user_id text, amount numeric(12,2) NOT NULL,
  currency text NOT NULL, method text, country text, channel text, status text NOT NULL,
  failure text, processing_ms int, created_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE orders REPLICA IDENTITY FULL;
ALTER TABLE payments REPLICA IDENTITY FULL;
"""
WAREHOUSE = """
CREATE DATABASE IF NOT EXISTS shop; USE shop;
CREATE TABLE IF NOT EXISTS products (
  product_id varchar(64) PRIMARY KEY, name varchar(200), category varchar(64),
  price decimal(12,2), currency char(3), status varchar(32), available_from date,
  weight_kg double);
CREATE TABLE IF NOT EXISTS stock_movements (
  id bigint AUTO_INCREMENT PRIMARY KEY, product_id varchar(64) NOT NULL, warehouse varchar(32),
  units int NOT NULL, level int, reason varchar(32),
  moved_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6));
"""
_ORDER = """
INSERT INTO orders
  (order_id, amount, currency, country, channel, product_id, quantity, price, status)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'new')
"""
_PAYMENT = """
INSERT INTO payments (payment_id, order_id, amount, currency, method, country, channel, status)
VALUES (%s, %s, %s, 'EUR', 'card', %s, %s, 'initiated')
"""
_CANCEL = "UPDATE orders SET status = 'cancelled' WHERE order_id = %s"
_SETTLE = """
UPDATE payments SET status = %s, processing_ms = %s, failure = %s WHERE payment_id = %s
"""
_CANCELLED, _FAILED = 0.1, 0.15
_COUNTRIES = ("DE", "FR", "NL", "IT")
_CHANNELS = ("web", "ios", "android")


def create_tables(path: StreamPath) -> None:
    """Create the tables that the shop's source contracts capture, where they are missing."""
    postgres, mariadb = databases(path)
    if not postgres.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'"):
        postgres.execute("CREATE DATABASE shop")
    postgres.execute(SHOP, database="shop")
    mariadb.execute(WAREHOUSE)


def databases(path: StreamPath) -> tuple[Postgres, MariaDb]:
    """Return the two databases of the path."""
    postgres, mariadb = path.databases["shop"], path.databases["warehouse"]
    assert isinstance(postgres, Postgres)  # noqa: S101 - how the path was planned
    assert isinstance(mariadb, MariaDb)  # noqa: S101 - same
    return postgres, mariadb


def insert_order(connection: psycopg.Connection, order_id: str) -> None:
    """Insert and commit one order."""
    connection.execute(_ORDER, (order_id, "10.00", "EUR", "DE", "web", "P-1", 1, "10.00"))


class Shop:
    """The application: places orders, has them paid, cancels some, moves stock."""

    def __init__(self, path: StreamPath, *, orders_per_second: float, seed: int) -> None:
        """Plan it; *orders_per_second* is a rate of transactions, each with a few statements."""
        postgres, mariadb = databases(path)
        self._dsn = postgres.dsn("shop")
        self._mariadb = mariadb
        self._pause = 1 / orders_per_second
        self._dice = random.Random(seed)  # noqa: S311 - a shop, not a secret
        self._stopping = Event()
        self.orders = 0
        self.movements = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Do business while the body runs."""
        threads = [Thread(target=self._sell), Thread(target=self._store)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _sell(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stopping.wait(self._pause):
                self.orders += 1
                self._order(connection, f"DB-{self.orders}-{time.time_ns() % 1_000_000}")

    def _order(self, connection: psycopg.Connection, order_id: str) -> None:
        dice = self._dice
        quantity, price = dice.randint(1, 3), f"{dice.randint(500, 9_000) / 100:.2f}"
        amount = f"{quantity * float(price):.2f}"
        country, channel = dice.choice(_COUNTRIES), dice.choice(_CHANNELS)
        product = f"P-{dice.randint(1, 40)}"
        with connection.transaction():
            connection.execute(
                _ORDER, (order_id, amount, "EUR", country, channel, product, quantity, price)
            )
            payment_id = f"PAY-{order_id}"
            connection.execute(_PAYMENT, (payment_id, order_id, amount, country, channel))
        chance = dice.random()
        if chance < _CANCELLED:
            connection.execute(_CANCEL, [order_id])
            return
        failed = chance < _FAILED
        status, failure = ("failed", "declined") if failed else ("captured", None)
        connection.execute(_SETTLE, [status, dice.randint(80, 900), failure, payment_id])

    def _store(self) -> None:
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self._mariadb.port(),
            user=self._mariadb.user,
            password=self._mariadb.password,
            database="shop",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            while not self._stopping.wait(2 * self._pause):
                self.movements += 1
                cursor.execute(
                    "INSERT INTO stock_movements (product_id, warehouse, units, level, reason)"
                    " VALUES (%s, 'BER1', %s, %s, 'delivery')",
                    (f"P-{self._dice.randint(1, 40)}", self._dice.randint(1, 50), 100),
                )
