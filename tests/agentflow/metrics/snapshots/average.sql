-- avg(order.created.amount)
-- reads order.created@1, order.cancelled@1, order.updated@1
-- $tenant = 't'
-- $where0 = 'EUR'
WITH
"effective order.created@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    COALESCE(newest."amount", base."amount") AS "amount",
    COALESCE(newest."currency", base."currency") AS "currency"
  FROM "order.created@1" AS base
  LEFT JOIN (
    SELECT
      correction_key,
      arg_max("amount", (occurred_us, event_id, source)) AS "amount",
      arg_max("currency", (occurred_us, event_id, source)) AS "currency"
    FROM (
      SELECT
        "order_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "amount",
        "currency"
      FROM "order.updated@1"
      WHERE tenant = $tenant
    )
    GROUP BY correction_key
  ) AS newest ON newest.correction_key = base."order_id"
  WHERE base.tenant = $tenant
    AND NOT EXISTS (
      SELECT
        1
      FROM "order.cancelled@1" AS r0
      WHERE r0."order_id" = base."order_id"
        AND r0.tenant = $tenant
    )
),
moved AS (
  SELECT
    log_offset,
    CAST("amount" AS DECIMAL(38, 2)) AS a0,
    CAST(CASE WHEN "amount" IS NOT NULL THEN 1 END AS BIGINT) AS a1
  FROM "effective order.created@1"
  WHERE "currency" = $where0
    AND ((CAST("amount" AS DECIMAL(38, 2))) IS NOT NULL OR (CAST(CASE WHEN "amount" IS NOT NULL THEN 1 END AS BIGINT)) IS NOT NULL)
)
SELECT
  CAST(COALESCE(SUM(a0), 0) AS DECIMAL(38, 2)) AS r0,
  CAST(COUNT(a1) AS DECIMAL(38, 0)) AS r1,
  COUNT(DISTINCT log_offset) AS events
FROM moved
