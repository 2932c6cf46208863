-- count(order.created) filter (where order_size = 'large') / count(order.created)
-- reads order.created@1, order.cancelled@1, order.updated@1
-- $tenant = 't'
WITH
"effective order.created@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    base."country" AS "country",
    (CASE WHEN (COALESCE(newest."amount", base."amount") < 50) THEN 'small' WHEN (COALESCE(newest."amount", base."amount") < 250) THEN 'medium' ELSE 'large' END) AS "order_size"
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
    CAST(CASE WHEN ("order_size" = 'large') THEN 1 END AS BIGINT) AS a0,
    CAST(1 AS BIGINT) AS a1
  FROM "effective order.created@1"
  WHERE "country" IS NULL
    AND ((CAST(CASE WHEN ("order_size" = 'large') THEN 1 END AS BIGINT)) IS NOT NULL OR (CAST(1 AS BIGINT)) IS NOT NULL)
)
SELECT
  CAST(COUNT(a0) AS DECIMAL(38, 0)) AS r0,
  CAST(COUNT(a1) AS DECIMAL(38, 0)) AS r1,
  COUNT(DISTINCT log_offset) AS events
FROM moved
