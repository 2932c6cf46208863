-- max(order.created.amount)
-- reads order.created@1, order.cancelled@1, order.updated@1
-- $tenant = 't'
-- $ingested_before = 7
WITH
"effective order.created@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    COALESCE(newest."amount", base."amount") AS "amount"
  FROM "order.created@1" AS base
  LEFT JOIN (
    SELECT
      correction_key,
      arg_max("amount", (occurred_us, event_id, source)) AS "amount"
    FROM (
      SELECT
        "order_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "amount"
      FROM "order.updated@1"
      WHERE tenant = $tenant
        AND ingested_us <= $ingested_before
    )
    GROUP BY correction_key
  ) AS newest ON newest.correction_key = base."order_id"
  WHERE base.tenant = $tenant
    AND base.ingested_us <= $ingested_before
    AND NOT EXISTS (
      SELECT
        1
      FROM "order.cancelled@1" AS r0
      WHERE r0."order_id" = base."order_id"
        AND r0.tenant = $tenant
        AND r0.ingested_us <= $ingested_before
    )
),
moved AS (
  SELECT
    log_offset,
    CAST("amount" AS DECIMAL(38, 2)) AS a0
  FROM "effective order.created@1"
  WHERE ((CAST("amount" AS DECIMAL(38, 2))) IS NOT NULL)
)
SELECT
  MAX(a0) AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
