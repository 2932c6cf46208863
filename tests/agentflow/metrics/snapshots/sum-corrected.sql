-- sum(order.created.amount) - sum(payment.refunded.amount) filter (where order_stands)
-- reads order.created@1, order.cancelled@1, order.updated@1, payment.refunded@1
-- $tenant = 't'
-- $up_to_offset = 100
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
        AND log_offset < $up_to_offset
    )
    GROUP BY correction_key
  ) AS newest ON newest.correction_key = base."order_id"
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
    AND NOT EXISTS (
      SELECT
        1
      FROM "order.cancelled@1" AS r0
      WHERE r0."order_id" = base."order_id"
        AND r0.tenant = $tenant
        AND r0.log_offset < $up_to_offset
    )
),
"effective payment.refunded@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."amount" AS "amount",
    base."currency" AS "currency",
    base."order_stands" AS "order_stands"
  FROM "payment.refunded@1" AS base
  WHERE base.tenant = $tenant
    AND base.log_offset < $up_to_offset
),
moved AS (
  SELECT
    log_offset,
    "currency",
    CAST("amount" AS DECIMAL(38, 2)) AS a0,
    CAST(NULL AS DECIMAL(38, 2)) AS a1
  FROM "effective order.created@1"
  WHERE ((CAST("amount" AS DECIMAL(38, 2))) IS NOT NULL)
  UNION ALL
  SELECT
    log_offset,
    "currency",
    CAST(NULL AS DECIMAL(38, 2)) AS a0,
    CAST(CASE WHEN "order_stands" THEN "amount" END AS DECIMAL(38, 2)) AS a1
  FROM "effective payment.refunded@1"
  WHERE ((CAST(CASE WHEN "order_stands" THEN "amount" END AS DECIMAL(38, 2))) IS NOT NULL)
)
SELECT
  "currency",
  CAST(COALESCE(SUM(a0), 0) AS DECIMAL(38, 2)) AS r0,
  CAST(COALESCE(SUM(a1), 0) AS DECIMAL(38, 2)) AS r1,
  COUNT(DISTINCT log_offset) AS events
FROM moved
GROUP BY "currency"
ORDER BY "currency"
