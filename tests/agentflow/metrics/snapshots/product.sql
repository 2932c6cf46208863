-- sum(order.created.quantity * order.created.price)
-- reads order.created@1, order.cancelled@1, order.updated@1
-- $tenant = 't'
WITH
"effective order.created@1" AS (
  SELECT
    base.occurred_us,
    base.log_offset,
    COALESCE(newest."quantity", base."quantity") AS "quantity",
    COALESCE(newest."price", base."price") AS "price"
  FROM "order.created@1" AS base
  LEFT JOIN (
    SELECT
      correction_key,
      arg_max("price", (occurred_us, event_id, source)) AS "price",
      arg_max("quantity", (occurred_us, event_id, source)) AS "quantity"
    FROM (
      SELECT
        "order_id" AS correction_key,
        occurred_us,
        event_id,
        source,
        "quantity",
        "price"
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
    CAST((CAST("quantity" AS HUGEINT) * "price") AS DECIMAL(38, 2)) AS a0
  FROM "effective order.created@1"
  WHERE ((CAST((CAST("quantity" AS HUGEINT) * "price") AS DECIMAL(38, 2))) IS NOT NULL)
)
SELECT
  [CAST(COALESCE(SUM(CAST(a0 - (a0 % 1000000000) AS HUGEINT) // 1000000000), 0) AS DECIMAL(38, 2)), CAST(COALESCE(SUM((a0 % 1000000000)), 0) AS DECIMAL(38, 2))] AS r0,
  COUNT(DISTINCT log_offset) AS events
FROM moved
